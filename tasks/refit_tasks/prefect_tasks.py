"""Decorators for Prefect tasks, uncached, with or without retries."""

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
"""The number of retries of a task after a transient error."""


def define_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Defines a task without retries.

    Args:
        name: The template of the task run's name, with parameters in braces.

    Returns:
        The decorator.
    """
    return task(task_run_name=name, cache_policy=NO_CACHE)


def define_retry_task(name: str, delay_seconds: float = 1) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Defines a task that is retried after a transient error, twice at most.

    Args:
        name: The template of the task run's name, with parameters in braces.
        delay_seconds: The wait before each retry, in seconds.

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
