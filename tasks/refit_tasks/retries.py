"""How often, and after which wait, what failed is tried again: a named policy for each kind of failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random_exponential,
)

from refit.errors import RefitError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task
    from tenacity.wait import wait_base

CONFLICT_TRIES = 20
"""How often a table is written to that others keep changing."""
LOAD_WAIT = wait_exponential(multiplier=1, max=60)
"""Of a server that could not load a version: 1 s, then twice as long each time, 60 s at most."""
WRITE_WAIT = wait_exponential(multiplier=0.5, max=30)
"""Of a batch of predictions that could not be written: 0.5 s, then twice as long each time, 30 s at most."""


def retry_table_write(is_conflict: Callable[[BaseException], bool]) -> Retrying:
    """Tries to write to a table again as long as somebody else was faster, 20 times at most.

    It waits as long as chance has it, 50 ms at most at first and 0.5 s later: who waited equally long would meet again.

    Args:
        is_conflict: Tells whether a fault says that somebody else was faster.

    Returns:
        What calls the step; after the last try it raises `tenacity.RetryError`.
    """
    return Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(CONFLICT_TRIES),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
    )


def retry_registry_write(is_race: Callable[[BaseException], bool]) -> Retrying:
    """Tries to write to the registry once more, at once: a row that another process has inserted can be updated.

    Args:
        is_race: Tells whether a fault may say that another process was first.

    Returns:
        What calls the write; after the second try it raises what that one raised.
    """
    return Retrying(retry=retry_if_exception(is_race), stop=stop_after_attempt(2), reraise=True)


@dataclass(slots=True)
class Backoff:
    """The backoff of a loop that goes on meanwhile, for one failed item at a time."""

    wait: wait_base
    """The wait after each failure of the same item in a row."""
    key: int = 0
    """The item that failed; 0 if none did."""
    failures: int = 0
    """How often the item has failed in a row."""
    retry_at: float = 0.0
    """When it may be tried again, in seconds of the monotonic clock."""

    def is_waiting(self, key: int) -> bool:
        """Tells whether an item has failed and must not be tried yet.

        Args:
            key: The item.

        Returns:
            Whether it has to wait.
        """
        return key == self.key and monotonic() < self.retry_at

    def fail(self, key: int) -> None:
        """Notes a failure, and starts the wait.

        Args:
            key: The item that failed; a further failure of the same item waits longer.
        """
        self.failures = self.failures + 1 if key == self.key else 1
        self.key, self.retry_at = key, monotonic() + wait_seconds(self.wait, self.failures)

    def reset(self) -> None:
        """Forgets the failure."""
        self.key = self.failures = 0


def wait_seconds(wait: wait_base, failures: int) -> float:
    """Tells how long a policy waits.

    Args:
        wait: The policy's wait.
        failures: How often the same has failed in a row, from 1.

    Returns:
        Seconds.

    Example:
        >>> [wait_seconds(LOAD_WAIT, failures) for failures in (1, 2, 3, 7, 5_000)]
        [1.0, 2.0, 4.0, 60.0, 60.0]
    """
    state = RetryCallState(Retrying(wait=wait), None, (), {})
    state.attempt_number = failures
    return float(wait(state))


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Decides, as a task's `retry_condition_fn`, whether to try it again.

    Args:
        _task: The task.
        _run: Its run.
        state: The state it failed in.

    Returns:
        Whether the fault is a foreign one (a socket, a database): one of our own stays the same however often it is
        tried.
    """
    return not isinstance(state.result(raise_on_failure=False), RefitError)
