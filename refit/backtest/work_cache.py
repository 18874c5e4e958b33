"""Cache of the work that policies share: each result is computed once, in this process or in a worker."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from threading import Lock
from typing import Any, TypeVar

Result = TypeVar("Result")


class WorkCache:
    """Computes results by key, once each.

    Policies call it from threads of their own and wait; the executor's processes do the work. Without an executor the
    calling thread does it, which must then be the only one, since a fit seeds numpy's global generator.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._lock = Lock()
        self._results: dict[Hashable, Future[Any]] = {}

    def get(self, key: Hashable, function: Callable[..., Result], arguments: Callable[[], tuple[Any, ...]]) -> Result:
        """Returns the result of a key, and computes it if it is not known yet.

        Args:
            key: Identifies the result; its first part is the kind of work.
            function: Computes the result; it may run in another process.
            arguments: Returns the function's arguments; not called if the result is known.

        Returns:
            The result.

        Raises:
            Exception: What the function raised, at every call with this key.
        """
        return self.submit(key, function, arguments).result()

    def submit(
        self, key: Hashable, function: Callable[..., Result], arguments: Callable[[], tuple[Any, ...]]
    ) -> Future[Result]:
        """Starts to compute the result of a key unless it was started before, without waiting for it.

        Args:
            key: Identifies the result; its first part is the kind of work.
            function: Computes the result; it may run in another process.
            arguments: Returns the function's arguments; not called if the result is known.

        Returns:
            A future of the result.
        """
        with self._lock:
            if key not in self._results:
                self._results[key] = self._start(function, arguments)
            return self._results[key]

    def count(self, kind: str) -> int:
        """Counts the results of a kind of work.

        Args:
            kind: The first part of their keys.

        Returns:
            The number of keys.
        """
        return sum(isinstance(key, tuple) and key[0] == kind for key in self._results)

    def _start(self, function: Callable[..., Result], arguments: Callable[[], tuple[Any, ...]]) -> Future[Result]:
        if self._executor is not None:
            return self._executor.submit(function, *arguments())
        result: Future[Result] = Future()
        try:
            result.set_result(function(*arguments()))
        except Exception as fault:  # noqa: BLE001 - raised again where the result is used
            result.set_exception(fault)
        return result
