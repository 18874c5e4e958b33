"""How a flow run ends: in a state whose message says in words what came of it, for people who read a list of runs.

Whether a run of a schedule still has work to do: after a downtime all that were missed are due at once.

What a flow run is called: the project, and why it was started.
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
from refit_tasks.presentation.markdown import shorten

WAITS = "refit.run.waits"
"""The event by which a suspended run says that it has not died."""
LATE_SECONDS = 1.0
"""So much later than the news of its own end a run's first heartbeat may leave its process."""

P = ParamSpec("P")
T = TypeVar("T")


def complete_with_message(outcome: T, message: str) -> T:
    """Ends a flow run with a message; to be returned by the flow.

    Args:
        outcome: What the flow did.
        message: What came of it, in words.

    Returns:
        A state for Prefect, which hands the outcome to whoever called the flow: so that is the type.
    """
    return cast(T, Completed(data=outcome, message=message))


def fail_with_message(run: Callable[P, T]) -> Callable[P, T]:
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

    return _copy_signature(told, run)


def skip_superseded_runs(run: Callable[P, T]) -> Callable[P, T]:
    """Lets a run of a schedule end at once where a newer one is due: after a downtime the newest does the work, once.

    Args:
        run: The function that the flow is made of.

    Returns:
        The same, for all other runs.
    """

    @wraps(run)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        newer = find_newer_run()
        if newer is None:
            return run(*args, **kwargs)
        message = f"skipped: a newer run of the schedule is due at {newer:%Y-%m-%d %H:%M:%S} UTC"
        return cast(T, Completed(name=SKIPPED, message=message))

    return _copy_signature(told, run)


@contextmanager
def suspended_heartbeat() -> Iterator[None]:
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


def _copy_signature(told: Callable[P, T], run: Callable[P, T]) -> Callable[P, T]:
    """Keeps the types of the parameters: Prefect would look for the names of annotations in this module."""
    told.__signature__ = inspect.signature(run, eval_str=True)  # type: ignore[attr-defined]
    return told


A_MOMENT = timedelta(microseconds=1)
SCHEDULER = "auto-scheduled"
"""The tag that Prefect's scheduler gives the runs it makes."""

SKIPPED = "Skipped"
"""The name of the Completed state of a run that left its work to a newer one."""

BEGUN = (StateType.RUNNING, StateType.COMPLETED)
"""What a newer run does that takes the work over, whenever it was due: this one has waited longer for a free slot."""
WAITING = (StateType.SCHEDULED, StateType.PENDING)

MOST = 200
"""The most newer runs that are looked at: what Prefect's API gives at once."""


def find_newer_run() -> datetime | None:
    """Tells whether a newer run of the same schedule is due, or has begun, so that this one has nothing to add.

    A run that a person or an event started is never superseded, and neither is one that is tried again. A newer run
    that came due only while this one was starting takes nothing over: else, where starting takes longer than from one
    run to the next, none would ever work.

    Returns:
        When the newest such run was to start, UTC; `None` where this run is to do the work.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    # A run that is tried again was asked for by a person, or has begun its work before.
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
    """Gives the time at which a worker began to start the run."""
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
    """Names a retrain or a rollback.

    Returns:
        Such as `parcels: drift, decision 12`.
    """
    return _format_name(flow_run.parameters.get("reason") or BY_HAND)


def name_by_event() -> str:
    """Names a run of the monitor.

    Returns:
        Such as `parcels: scheduled`, or the event that asks for a retrain.
    """
    return _format_name(flow_run.parameters.get("event") or BY_HAND)


def name_by_source() -> str:
    """Names a run that scores rows.

    Returns:
        Such as `parcels: scheduled`, or what is scored.
    """
    given = flow_run.parameters
    # A time is text where a server has started the run.
    window = " until ".join(str(given[name])[:MINUTES] for name in ("start", "end") if given.get(name))
    return _format_name(given.get("source") or window or BY_HAND)


def _format_name(reason: str) -> str:
    """Says of a schedule's run that it is one, also where the schedule gives no reason."""
    context = FlowRunContext.get()
    scheduled = context is not None and context.flow_run is not None and context.flow_run.auto_scheduled
    why = BY_SCHEDULE if scheduled and reason == BY_HAND else reason
    return shorten(f"{flow_run.parameters.get('project')}: {why}", LONGEST)
