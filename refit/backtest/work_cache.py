"""Work that policies share: the same question about the same rows is answered once, wherever the answer is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from threading import Lock
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class WorkCache:
    """Answers questions by key, once each.

    Policies ask from threads of their own and wait; the executor's processes do the work. Without an executor the
    thread that asks does it, which suits one thread alone: a fit seeds numpy's global generator.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._lock = Lock()
        self._answers: dict[Hashable, Future[Any]] = {}

    def ask(self, key: Hashable, function: Callable[..., Answer], arguments: Callable[[], tuple[Any, ...]]) -> Answer:
        """Gives the answer to a question, which is asked now if it has not been before.

        Args:
            key: Names the question; its first part is the kind.
            function: Answers it; it may run in another process.
            arguments: Gather what the function needs; not called where the answer is there.

        Returns:
            What the function gave.

        Raises:
            Exception: What the function raised, for all who ask.
        """
        return self.order(key, function, arguments).result()

    def order(
        self, key: Hashable, function: Callable[..., Answer], arguments: Callable[[], tuple[Any, ...]]
    ) -> Future[Answer]:
        """Asks a question, if it has not been asked before, without waiting for the answer.

        Args:
            key: Names the question.
            function: Answers it.
            arguments: Gather what the function needs.

        Returns:
            Where the answer will be.
        """
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._begin(function, arguments)
            return self._answers[key]

    def count(self, kind: str) -> int:
        """Counts the questions of a kind that were asked.

        Args:
            kind: The first part of their keys.
        """
        return sum(isinstance(key, tuple) and key[0] == kind for key in self._answers)

    def _begin(self, function: Callable[..., Answer], arguments: Callable[[], tuple[Any, ...]]) -> Future[Answer]:
        if self._executor is not None:
            return self._executor.submit(function, *arguments())
        answered: Future[Answer] = Future()
        try:
            answered.set_result(function(*arguments()))
        except Exception as fault:  # noqa: BLE001 - raised again where the answer is asked for
            answered.set_exception(fault)
        return answered
