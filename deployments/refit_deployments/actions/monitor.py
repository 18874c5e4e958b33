"""`refit monitor`: runs the flow in this process and describes its outcome."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from prefect import tags
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from refit.records.drift_findings import Drift
from refit.results.flows import MonitorOutcome
from refit.windows import format_time, format_window
from refit_deployments.actions.retrain import describe_retrain
from refit_deployments.output import Result
from refit_flows.monitor import monitor
from refit_tasks.catalog import find_project
from refit_tasks.presentation.measurements import (
    describe_performance,
    describe_probe,
    sort_columns_by_drift,
    summarize_drift,
)

SHOWN = 5
"""The number of drifted columns that are listed."""


def run_monitor(project: str, as_of: datetime | None, event: str | None) -> Result:
    """Runs the monitor flow in this process.

    Args:
        project: The project's name.
        as_of: The time that the monitor looks from; now, if `None`.
        event: An outside event that requests a retrain.

    Returns:
        The outcome; `wait` is one, too.
    """
    find_project(project)  # reports a misspelt name before Prefect starts
    with without_heartbeats(), tags(project):
        outcome = monitor(project, as_of=as_of, event=event)
    return Result(outcome.as_json(), describe_monitor(outcome))


def without_heartbeats() -> AbstractContextManager[object]:
    """Turns heartbeats off on a temporary server, where the end of a flow waits up to a second for the last one.

    Returns:
        A context manager.
    """
    if PREFECT_API_URL.value():
        return nullcontext()
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def describe_monitor(outcome: MonitorOutcome) -> list[str]:
    """Describes the outcome of a monitor run.

    Args:
        outcome: The outcome of the flow.

    Returns:
        Lines for people.
    """
    found, decision = outcome.evidence, outcome.decision
    serving = f"version {outcome.champion.version}" if outcome.champion else "no champion yet"
    same = ", no new rows since" if outcome.nothing_new else ""
    return [
        f"{found.project} as of {format_time(found.as_of)} UTC: {decision.action} "
        f"(decision {outcome.decision_id}{same})",
        f"  judged    {serving} on {found.rows:,} rows, {format_window(found.window)}",
        *(f"  because   {sentence}" for sentence in decision.reasons or ["no trigger fired"]),
        *(f"  drift     {line}" for line in describe_drift(found.drift)),
        *(f"  score     {line}" for line in describe_performance(found.performance)),
        *(f"  probe     {line}" for line in describe_probe(found.probe)),
        *(f"  withheld  {line}" for line in found.withheld),
        f"  details   refit why {outcome.decision_id}   ({outcome.seconds:.1f} s)",
        *(describe_retrain(outcome.retrain) if outcome.retrain else ()),
    ]


def describe_drift(drift: Drift | None) -> list[str]:
    """Describes drift and the columns with the most of it.

    Args:
        drift: The measured drift; `None` where none was measured.

    Returns:
        Lines for people; none without a measurement.
    """
    if drift is None:
        return []
    drifted = [column for column in sort_columns_by_drift(drift) if column.drifted]
    return [
        summarize_drift(drift),
        *(f"{found.column}: PSI {found.psi:.3f}, excess {found.excess:.3f}" for found in drifted[:SHOWN]),
    ]
