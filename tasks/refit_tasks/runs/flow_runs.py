"""Names and final states of flow runs, and the skip of scheduled runs that a newer one supersedes.

A final state carries a one-sentence message for the list of runs. After a downtime, all missed runs of a schedule are
due at once, and only the newest does the work.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.exceptions import Pause
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from refit.errors import RefitError
from refit.windows import format_time
from refit_tasks.presentation.markdown import shorten

WAITS = "refit.run.waits"
"""The event by which a suspended run shows that it is alive."""
LATE_SECONDS = 1.0
"""How long a run's first heartbeat may be sent after the message of its suspension."""

P = ParamSpec("P")
T = TypeVar("T")


def complete_with_message(outcome: T, message: str) -> T:
    """Builds a Completed state with a message, to be returned by a flow.

    Args:
        outcome: The result of the flow.
        message: A sentence about the result.

    Returns:
        The state, typed as the outcome, since Prefect returns the outcome to the caller of the flow.
    """
    return cast(T, Completed(data=outcome, message=message))


def fail_with_message(run: Callable[P, T]) -> Callable[P, T]:
    """Decorates a flow function to end a `RefitError` as a Failed state with the error's sentence as its message.

    Args:
        run: The flow function.

    Returns:
        The decorated function; a caller of the flow still gets the error itself.
    """

    @wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return run(*args, **kwargs)
        except RefitError as error:
            # The traceback is logged only if other code caused the error.
            get_run_logger().error("%s", error, exc_info=error if error.__cause__ else None)
            return cast(T, Failed(data=error, message=" ".join(str(error).split())))

    return _copy_signature(wrapped, run)


def skip_superseded_runs(run: Callable[P, T]) -> Callable[P, T]:
    """Decorates a flow function to end a scheduled run at once if a newer run of the schedule is due.

    Args:
        run: The flow function.

    Returns:
        The decorated function.
    """

    @wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        newer = find_newer_run()
        if newer is None:
            return run(*args, **kwargs)
        message = f"skipped: a newer run of the schedule is due at {format_time(newer)} UTC"
        return cast(T, Completed(name=SKIPPED, message=message))

    return _copy_signature(wrapped, run)


@contextmanager
def suspended_heartbeat() -> Iterator[None]:
    """Keeps a run that is suspended in the block from being taken for dead.

    The suspension reaches the server before the run's first heartbeat, which then looks like the last sign of life.
    This event is sent the heartbeat's way, after it.

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


def _copy_signature(wrapped: Callable[P, T], run: Callable[P, T]) -> Callable[P, T]:
    """Copies the parameter types; Prefect would otherwise look up the names of the annotations in this module."""
    wrapped.__signature__ = inspect.signature(run, eval_str=True)  # type: ignore[attr-defined]
    return wrapped


A_MOMENT = timedelta(microseconds=1)
SCHEDULER = "auto-scheduled"
"""The tag that Prefect's scheduler gives the runs it makes."""

SKIPPED = "Skipped"
"""The name of the Completed state of a superseded run."""

BEGUN = (StateType.RUNNING, StateType.COMPLETED)
"""States of a newer run that supersede this one whenever it was due, since this run waited longer for a free slot."""
WAITING = (StateType.SCHEDULED, StateType.PENDING)

MOST = 200
"""The most newer runs that are read: one page of Prefect's API."""


def find_newer_run() -> datetime | None:
    """Finds a newer run of the same schedule that is due or has begun, and so supersedes the current run.

    Runs that a person or an event started, and retries, are never superseded. A run that came due while the current one
    was starting does not count; otherwise no run would ever work if starting took longer than the schedule's interval.

    Returns:
        The scheduled start of the newest such run, UTC; `None` if the current run is to do the work.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    # A retry was requested by a person, or has begun its work before.
    if run is None or not run.auto_scheduled or run.deployment_id is None or run.run_count > 1:
        return None
    with get_client(sync_client=True) as client:
        newer = _list_newer_runs(client, run, datetime.now(UTC))
        started = _find_pickup_time(client, run) if newer else None
    due = [other for other in newer if other.state_type in BEGUN or (started and _due_time(other) <= started)]
    return max(map(_due_time, due), default=None)


def _list_newer_runs(client: SyncPrefectClient, run: FlowRun, now: datetime) -> list[FlowRun]:
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=_due_time(run) + A_MOMENT, before_=now),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*WAITING, *BEGUN])),
        tags=FlowRunFilterTags(all_=[SCHEDULER]),
    )
    found = client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST)
    # A deployment may have several schedules, each with parameters of its own.
    return [one for one in found if _schedule_id(one) == _schedule_id(run) and one.state_name != SKIPPED]


def _find_pickup_time(client: SyncPrefectClient, run: FlowRun) -> datetime:
    """Finds the time at which a worker picked the run up, UTC."""
    states = client.read_flow_run_states(run.id)
    return max((state.timestamp for state in states if state.type == StateType.PENDING), default=_due_time(run))


def _due_time(run: FlowRun) -> datetime:
    return run.expected_start_time or datetime.now(UTC)


def _schedule_id(run: FlowRun) -> UUID | None:
    return run.created_by.id if run.created_by else None


BY_HAND, BY_SCHEDULE = "manual", "scheduled"
MINUTES = len("2026-01-01 00:00")
LONGEST = 120
"""The most characters of a name."""


def name_by_reason() -> str:
    """Names a run of the retrain or rollback flow by its reason.

    Returns:
        A name such as `parcels: drift, decision 12`.
    """
    return _format_name(flow_run.parameters.get("reason") or BY_HAND)


def name_by_event() -> str:
    """Names a run of the monitor flow by its event.

    Returns:
        A name such as `parcels: scheduled`, or with the event that requests a retrain.
    """
    return _format_name(flow_run.parameters.get("event") or BY_HAND)


def name_by_source() -> str:
    """Names a run of the scoring flow by its source.

    Returns:
        A name such as `parcels: scheduled`, or with the window or source that is scored.
    """
    given = flow_run.parameters
    # A time is text where a server has started the run.
    window = " until ".join(str(given[name])[:MINUTES] for name in ("start", "end") if given.get(name))
    return _format_name(given.get("source") or window or BY_HAND)


def _format_name(reason: str) -> str:
    """Formats project and reason; a scheduled run without a reason is named `scheduled`."""
    context = FlowRunContext.get()
    scheduled = context is not None and context.flow_run is not None and context.flow_run.auto_scheduled
    why = BY_SCHEDULE if scheduled and reason == BY_HAND else reason
    return shorten(f"{flow_run.parameters.get('project')}: {why}", LONGEST)
