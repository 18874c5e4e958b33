"""`refit monitor`: runs the flow in this process and words its outcome."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from prefect import tags
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from refit.records.drift_findings import Drift
from refit.results.flows import MonitorOutcome
from refit_deployments.actions.retrain import describe as describe_retrain
from refit_deployments.output import Result
from refit_flows.monitor import monitor
from refit_tasks.catalog import find_project
from refit_tasks.presentation.measurements import columns_by_size, drift_words, performance_words, probe_words

SHOWN = 5
"""The most drifted columns that are named one by one."""


def monitor_here(project: str, as_of: datetime | None, event: str | None) -> Result:
    """Runs the monitor flow in this process.

    Args:
        project: The project's name.
        as_of: The instant to look from; now, if `None`.
        event: An event from outside that asks for a retrain.

    Returns:
        The outcome; a `wait` is one too.
    """
    find_project(project)  # a misspelt name should not wait for Prefect's start
    with without_heartbeats(), tags(project):
        outcome = monitor(project, as_of=as_of, event=event)
    return Result(outcome.as_json(), describe(outcome))


def without_heartbeats() -> AbstractContextManager[object]:
    """Leaves out what nobody listens to on a temporary server: the end of a flow waits up to a second for it.

    Returns:
        A block.
    """
    if PREFECT_API_URL.value():
        return nullcontext()
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def describe(outcome: MonitorOutcome) -> list[str]:
    """Words the outcome of the monitor.

    Args:
        outcome: What the flow did.

    Returns:
        Lines for a person.
    """
    found, decision = outcome.evidence, outcome.decision
    serving = f"version {outcome.champion.version}" if outcome.champion else "no champion yet"
    window = f"{found.window.start:%Y-%m-%d %H:%M} until {found.window.end:%Y-%m-%d %H:%M}"
    same = ", nothing new since" if outcome.nothing_new else ""
    return [
        f"{found.project} as of {found.as_of:%Y-%m-%d %H:%M} UTC: {decision.action} "
        f"(decision {outcome.decision_id}{same})",
        f"  judged    {serving} on {found.rows:,} rows from {window}",
        *(f"  because   {sentence}" for sentence in decision.reasons or ["no trigger fired"]),
        *(f"  drift     {line}" for line in drift_lines(found.drift)),
        *(f"  score     {line}" for line in performance_words(found.performance)),
        *(f"  probe     {line}" for line in probe_words(found.probe)),
        *(f"  withheld  {line}" for line in found.withheld),
        f"  the story: refit why {outcome.decision_id}   ({outcome.seconds:.1f} s)",
        *(describe_retrain(outcome.retrain) if outcome.retrain else ()),
    ]


def drift_lines(drift: Drift | None) -> list[str]:
    """Words a drift and the columns that drifted most.

    Args:
        drift: What was measured; `None` where nothing was.

    Returns:
        Lines for a person; none without a drift.
    """
    if drift is None:
        return []
    drifted = [column for column in columns_by_size(drift) if column.drifted]
    return [
        drift_words(drift),
        *(f"{found.column}: PSI {found.psi:.3f}, excess {found.excess:.3f}" for found in drifted[:SHOWN]),
    ]
