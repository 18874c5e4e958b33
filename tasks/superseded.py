"""Whether a run of a schedule still has work to do: after a downtime all that were missed are due at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
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

SCHEDULER = "auto-scheduled"
"""The tag that Prefect's scheduler gives the runs it makes."""

TAKES_OVER = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED]
"""What a newer run may be doing; one that waited for a free slot may have been overtaken by it."""


MOST = 200
"""The most newer runs that are looked at: what Prefect's API gives at once."""


def superseded() -> datetime | None:
    """Tells whether a newer run of the same schedule is due, or has begun, so that this one has nothing to add.

    A run that a person or an event started is never superseded, and neither is one that is tried again.

    Returns:
        When the newest such run was to start, UTC; `None` where this run is to do the work.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    # A run that is tried again was asked for by a person, or has begun its work before.
    if run is None or not run.auto_scheduled or run.deployment_id is None or run.run_count > 1:
        return None
    newest = _newest(run, datetime.now(UTC))
    return newest.expected_start_time if newest else None


def _newest(run: FlowRun, now: datetime) -> FlowRun | None:
    own = run.expected_start_time
    if own is None:
        return None
    due = FlowRunFilterExpectedStartTime(after_=own + timedelta(microseconds=1), before_=now)
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=due,
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=TAKES_OVER)),
        tags=FlowRunFilterTags(all_=[SCHEDULER]),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST)
    # A deployment may have several schedules, each with parameters of its own.
    return next((other for other in found if _schedule_of(other) == _schedule_of(run)), None)


def _schedule_of(run: FlowRun) -> UUID | None:
    return run.created_by.id if run.created_by else None
