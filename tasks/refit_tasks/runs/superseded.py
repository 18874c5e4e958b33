"""Whether a run of a schedule still has work to do: after a downtime all that were missed are due at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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


def superseded() -> datetime | None:
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
        newer = _newer(client, run, datetime.now(UTC))
        started = _picked_up(client, run) if newer else None
    due = [other for other in newer if other.state_type in BEGUN or (started and _due(other) <= started)]
    return max(map(_due, due), default=None)


def _newer(client: SyncPrefectClient, run: FlowRun, now: datetime) -> list[FlowRun]:
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=_due(run) + A_MOMENT, before_=now),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*WAITING, *BEGUN])),
        tags=FlowRunFilterTags(all_=[SCHEDULER]),
    )
    found = client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST)
    # A deployment may have several schedules, each with parameters of its own.
    return [one for one in found if _schedule_of(one) == _schedule_of(run) and one.state_name != SKIPPED]


def _picked_up(client: SyncPrefectClient, run: FlowRun) -> datetime:
    """Gives the time at which a worker began to start the run."""
    states = client.read_flow_run_states(run.id)
    return max((state.timestamp for state in states if state.type == StateType.PENDING), default=_due(run))


def _due(run: FlowRun) -> datetime:
    return run.expected_start_time or datetime.now(UTC)


def _schedule_of(run: FlowRun) -> UUID | None:
    return run.created_by.id if run.created_by else None
