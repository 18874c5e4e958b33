"""Retry policies: the number of attempts and the wait between them for each kind of failure."""

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
    stop_after_delay,
    wait_exponential,
    wait_random_exponential,
)

from refit.errors import RefitError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task
    from tenacity.wait import wait_base

CONFLICT_TRIES = 20
"""The maximum number of attempts to write to a table that other processes keep changing."""
LOCK_SECONDS = 30
"""The seconds to wait for an SQLite file that another process has locked."""
LOAD_WAIT = wait_exponential(multiplier=1, max=60)
"""The wait of a server that could not load a version: 1 s, doubled each time, at most 60 s."""
WRITE_WAIT = wait_exponential(multiplier=0.5, max=30)
"""The wait for a batch of predictions that could not be written: 0.5 s, doubled each time, at most 30 s."""


def retry_table_write(is_conflict: Callable[[BaseException], bool]) -> Retrying:
    """Makes the retry policy of table writes, which conflict if another process was faster.

    The waits are random, at most 50 ms at first and 0.5 s later, so that two writers do not collide again.

    Args:
        is_conflict: Tells whether an error is such a conflict.

    Returns:
        The policy, to be called with the step; after 20 attempts it raises `tenacity.RetryError`.
    """
    return Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(CONFLICT_TRIES),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
    )


def retry_registry_write(is_race: Callable[[BaseException], bool]) -> Retrying:
    """Makes the retry policy of registry writes: one immediate retry, to update a row that another process inserted.

    Args:
        is_race: Tells whether an error may mean that another process was first.

    Returns:
        The policy, to be called with the write; it raises the error of the second attempt.
    """
    return Retrying(retry=retry_if_exception(is_race), stop=stop_after_attempt(2), reraise=True)


def retry_locked_file(is_locked: Callable[[BaseException], bool]) -> Retrying:
    """Makes the retry policy of what SQLite refuses beside another connection without waiting for it.

    Args:
        is_locked: Tells whether an error is such a refusal.

    Returns:
        The policy, to be called with the step; after 30 s it raises the last error.
    """
    return Retrying(
        retry=retry_if_exception(is_locked),
        stop=stop_after_delay(LOCK_SECONDS),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
        reraise=True,
    )


@dataclass(slots=True)
class Backoff:
    """The backoff for the failed item of a loop that does not block."""

    wait: wait_base
    """The wait by the number of consecutive failures."""
    key: int = 0
    """The item that failed; 0 if none did."""
    failures: int = 0
    """The number of the item's consecutive failures."""
    retry_at: float = 0.0
    """The time of the next attempt, in seconds of the monotonic clock."""

    def is_waiting(self, key: int) -> bool:
        """Tells whether an item has failed and must not be tried yet.

        Args:
            key: The item.

        Returns:
            Whether it has to wait.
        """
        return key == self.key and monotonic() < self.retry_at

    def fail(self, key: int) -> None:
        """Counts a failure and starts the wait.

        Args:
            key: The item that failed; a further failure of the same item waits longer.
        """
        self.failures = self.failures + 1 if key == self.key else 1
        self.key, self.retry_at = key, monotonic() + wait_seconds(self.wait, self.failures)

    def reset(self) -> None:
        """Clears the failure."""
        self.key = self.failures = 0


def wait_seconds(wait: wait_base, failures: int) -> float:
    """Computes the wait of a policy.

    Args:
        wait: The wait of the policy.
        failures: The number of consecutive failures, at least 1.

    Returns:
        The wait in seconds.

    Example:
        >>> [wait_seconds(LOAD_WAIT, failures) for failures in (1, 2, 3, 7, 5_000)]
        [1.0, 2.0, 4.0, 60.0, 60.0]
    """
    state = RetryCallState(Retrying(wait=wait), None, (), {})
    state.attempt_number = failures
    return float(wait(state))


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Decides whether a failed task is retried; used as its `retry_condition_fn`.

    Args:
        _task: The task.
        _run: The task run.
        state: The failed state.

    Returns:
        Whether the error is transient, such as one of a socket or a database; a `RefitError` is not.
    """
    return not isinstance(state.result(raise_on_failure=False), RefitError)
