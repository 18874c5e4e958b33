"""What a flow run is called: the project, and why it was started."""

from __future__ import annotations

from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from refit_tasks.presentation.markdown import shortened

BY_HAND, BY_SCHEDULE = "manual", "scheduled"
MINUTES = len("2026-01-01 00:00")
LONGEST = 120
"""The most characters of a name."""


def named_by_reason() -> str:
    """Names a retrain or a rollback.

    Returns:
        Such as `parcels: drift, decision 12`.
    """
    return _name(flow_run.parameters.get("reason") or BY_HAND)


def named_by_event() -> str:
    """Names a run of the monitor.

    Returns:
        Such as `parcels: scheduled`, or the event that asks for a retrain.
    """
    return _name(flow_run.parameters.get("event") or BY_HAND)


def named_by_source() -> str:
    """Names a run that scores rows.

    Returns:
        Such as `parcels: scheduled`, or what is scored.
    """
    given = flow_run.parameters
    # A time is text where a server has started the run.
    window = " until ".join(str(given[name])[:MINUTES] for name in ("start", "end") if given.get(name))
    return _name(given.get("source") or window or BY_HAND)


def _name(reason: str) -> str:
    """Says of a schedule's run that it is one, also where the schedule gives no reason."""
    context = FlowRunContext.get()
    scheduled = context is not None and context.flow_run is not None and context.flow_run.auto_scheduled
    why = BY_SCHEDULE if scheduled and reason == BY_HAND else reason
    return shortened(f"{flow_run.parameters.get('project')}: {why}", LONGEST)
