"""What is worth a second try."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from refit.errors import RefitError


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
