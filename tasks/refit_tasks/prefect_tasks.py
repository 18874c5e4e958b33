"""What a Prefect task of ours is: never cached, since its results are kept by their content elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task

from refit_tasks.retries import is_transient

P = ParamSpec("P")
R = TypeVar("R")

TASK_RETRIES = 2
"""How often a task is tried again after a foreign fault."""


def define_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Makes a function a task that fails with its first fault.

    Args:
        name: What a run of it is called, with the parameters in braces.

    Returns:
        The decorator.
    """
    return task(task_run_name=name, cache_policy=NO_CACHE)


def define_retry_task(name: str, delay_seconds: float = 1) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Makes a function a task that is tried again after a foreign fault, twice at most.

    Args:
        name: What a run of it is called, with the parameters in braces.
        delay_seconds: How long it waits before each further try.

    Returns:
        The decorator.
    """
    return task(
        task_run_name=name,
        cache_policy=NO_CACHE,
        retries=TASK_RETRIES,
        retry_delay_seconds=delay_seconds,
        retry_condition_fn=is_transient,
    )
