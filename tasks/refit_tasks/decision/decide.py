"""The decision on a retrain, made and recorded in one transaction, so that concurrent triggers see each other."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from refit.monitoring.decide import DecisionRecord, RetrainRecord, decide
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.ledger import Entry, as_payload
from refit_tasks.decision.history import query_history
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import generation_of, newest_champion
from refit_tasks.ledger.record import record
from refit_tasks.ledger.transactions import append
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision and its ledger entry."""

    id: int
    """The ledger entry."""
    decision: Decision


@define_retry_task("decide on {definition.name}")
def decide_and_record(
    definition: Project,
    evidence: Evidence,
    at: datetime,
    turn: str | None = None,
    unless: RecordedDecision | None = None,
) -> RecordedDecision:
    """Decides and records the decision, so that only one of several concurrent triggers starts a retrain.

    Args:
        definition: The project, for its policy.
        evidence: The evidence.
        at: The current time, UTC.
        turn: The slot's token or the monitor's run id, which names the process that carries the decision out.
        unless: The newest decision, if its evidence is the same; a repeated decision not to retrain is not recorded.

    Returns:
        The decision and its ledger entry.

    Raises:
        StateError: If the ledger cannot be read or written.
    """
    with writing() as connection:
        serving = generation_of(newest_champion(connection, definition.name))
        history = replace(query_history(connection, definition.name, at), serving=serving)
        decision = decide(evidence, definition.monitoring, history)
        if unless and decision.action != "retrain" and _is_same(decision, unless.decision):
            return unless
        decided = DecisionRecord(evidence, definition.monitoring, history, decision, turn)
        entry = append(connection, definition.name, "decision", as_payload(decided), at)
    with_project(log, definition.name).info("decision %d is to %s", entry.id, decision)
    return RecordedDecision(entry.id, decision)


def _is_same(one: Decision, other: Decision) -> bool:
    return (one.action, one.trigger) == (other.action, other.trigger)


def record_outcome(project: str, outcome: RetrainRecord, at: datetime) -> Entry:
    """Records how a retrain ended.

    Args:
        project: The project's name.
        outcome: The decision, the ending and the duration.
        at: The current time, UTC.

    Returns:
        The ledger entry.

    Raises:
        StateError: If the ledger cannot be written.
    """
    return record(project, "retrain", as_payload(outcome), at)
