"""How a flow run ends: in a state whose message says in words what came of it, for people who read a list of runs."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from prefect.events import emit_event
from prefect.exceptions import Pause
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from refit.errors import RefitError
from refit_tasks.runs.superseded import SKIPPED, superseded

WAITS = "refit.run.waits"
"""The event by which a suspended run says that it has not died."""
LATE_SECONDS = 1.0
"""So much later than the news of its own end a run's first heartbeat may leave its process."""

P = ParamSpec("P")
T = TypeVar("T")


def completed(outcome: T, message: str) -> T:
    """Ends a flow run with a message; to be returned by the flow.

    Args:
        outcome: What the flow did.
        message: What came of it, in words.

    Returns:
        A state for Prefect, which hands the outcome to whoever called the flow: so that is the type.
    """
    return cast(T, Completed(data=outcome, message=message))


def refused_in_words(run: Callable[P, T]) -> Callable[P, T]:
    """Makes a refused run end with our sentence alone, and without a trace of calls that tells nobody anything.

    Args:
        run: The function that the flow is made of.

    Returns:
        The same; whoever calls the flow gets the error itself, as before.
    """

    @wraps(run)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return run(*args, **kwargs)
        except RefitError as error:
            # Behind some refusals is a fault of other code, and its traceback helps to find that.
            get_run_logger().error("%s", error, exc_info=error if error.__cause__ else None)
            return cast(T, Failed(data=error, message=" ".join(str(error).split())))

    return _with_parameters(told, run)


def newest_missed_once(run: Callable[P, T]) -> Callable[P, T]:
    """Lets a run of a schedule end at once where a newer one is due: after a downtime the newest does the work, once.

    Args:
        run: The function that the flow is made of.

    Returns:
        The same, for all other runs.
    """

    @wraps(run)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        newer = superseded()
        if newer is None:
            return run(*args, **kwargs)
        message = f"skipped: a newer run of the schedule is due at {newer:%Y-%m-%d %H:%M:%S} UTC"
        return cast(T, Completed(name=SKIPPED, message=message))

    return _with_parameters(told, run)


@contextmanager
def suspended_alive() -> Iterator[None]:
    """Keeps a run that is suspended within the block from being taken for dead.

    The server tells that it is suspended at once; its first heartbeat goes another way and arrives later, so that it
    looks as if nothing had followed. What is said here goes the heartbeat's way, after it.

    Yields:
        Nothing.
    """
    try:
        yield
    except Pause:
        time.sleep(LATE_SECONDS)
        tags = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in flow_run.tags]
        emit_event(WAITS, {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}, related=tags)
        raise


def _with_parameters(told: Callable[P, T], run: Callable[P, T]) -> Callable[P, T]:
    """Keeps the types of the parameters: Prefect would look for the names of annotations in this module."""
    told.__signature__ = inspect.signature(run, eval_str=True)  # type: ignore[attr-defined]
    return told
