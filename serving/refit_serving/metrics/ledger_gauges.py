"""The gauges of one project: each a name, a sentence, and where the number is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from refit.monitoring.decide import build_history
from refit.monitoring.evidence import Evidence, Performance
from refit.monitoring.guards import RemainingBudget, remaining_budget
from refit.records.ledger import Entry
from refit.records.references import Champion
from refit.results.ledger_summary import LedgerSummary


@dataclass(frozen=True, slots=True)
class ProjectState:
    """What the gauges are read from. A part is `None` where it was switched off or there is none yet."""

    champion: Champion | None
    evidence: Evidence | None
    left: RemainingBudget | None
    monitored_at: datetime | None
    decided: Entry | None
    waiting: int

    @property
    def performance(self) -> Performance | None:
        """What the newest decision knew of the score."""
        return self.evidence.performance if self.evidence else None


@dataclass(frozen=True, slots=True)
class LedgerGauge:
    """One gauge."""

    name: str
    about: str
    of: Callable[[ProjectState], float | None]


def _champion(value: Callable[[Champion], float]) -> Callable[[ProjectState], float | None]:
    return lambda known: value(known.champion) if known.champion else None


def _evidence(value: Callable[[Evidence], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda known: value(known.evidence) if known.evidence else None


def _performance(value: Callable[[Performance], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda known: value(known.performance) if known.performance else None


def _left(value: Callable[[RemainingBudget], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda known: value(known.left) if known.left else None


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


LEDGER_GAUGES = (
    LedgerGauge("refit_champion_version", "The version that serves.", _champion(lambda one: one.version)),
    LedgerGauge("refit_champion_generation", "The generation that serves.", _champion(lambda one: one.generation)),
    LedgerGauge(
        "refit_champion_since_timestamp_seconds",
        "When the champion was promoted or came back.",
        _champion(lambda one: one.since.timestamp()),
    ),
    LedgerGauge(
        "refit_champion_trained_until_timestamp_seconds",
        "Just after the newest event time that the champion was trained on: the age of the model counts from it.",
        _champion(lambda one: one.model.trained_on.window.end.timestamp()),
    ),
    LedgerGauge(
        "refit_monitored_timestamp_seconds",
        "When a monitor recorded its newest decision; one that finds nothing new records none.",
        lambda known: _seconds(known.monitored_at),
    ),
    LedgerGauge(
        "refit_decided_timestamp_seconds",
        "When anything was decided last.",
        lambda known: _seconds(known.decided.at if known.decided else None),
    ),
    LedgerGauge("refit_window_rows", "Rows of the current window.", _evidence(lambda one: one.rows)),
    LedgerGauge(
        "refit_new_rows", "Rows newer than those that the champion was trained on.", _evidence(lambda one: one.new_rows)
    ),
    LedgerGauge(
        "refit_drift_share",
        "The share of feature columns that drifted in the newest window.",
        _evidence(lambda one: one.drift.share if one.drift else None),
    ),
    LedgerGauge(
        "refit_drifted",
        "How many columns and predictions drifted in the newest window.",
        _evidence(lambda one: len(one.drift.drifted) if one.drift else None),
    ),
    LedgerGauge(
        "refit_score", "The realised score of the champion, higher is better.", _performance(lambda p: p.current)
    ),
    LedgerGauge("refit_score_reference", "The score it is held against.", _performance(lambda p: p.reference)),
    LedgerGauge(
        "refit_score_dropped",
        "Whether the score has dropped, significantly and by enough.",
        _performance(lambda p: p.dropped),
    ),
    LedgerGauge(
        "refit_label_coverage_ratio",
        "The share of the newest mature window's rows whose labels are there.",
        _performance(lambda p: p.coverage),
    ),
    LedgerGauge(
        "refit_labels_until_timestamp_seconds",
        "The end of the newest window that was scored on labels: the lag of the labels counts from it.",
        _performance(lambda p: p.window.end.timestamp()),
    ),
    LedgerGauge(
        "refit_budget_retrains_left", "Retrains that the budget's period leaves.", _left(lambda one: one.retrains)
    ),
    LedgerGauge(
        "refit_budget_minutes_left",
        "Minutes of retraining and probing that it leaves, if they are limited.",
        _left(lambda one: one.minutes),
    ),
    LedgerGauge(
        "refit_cooldown_until_timestamp_seconds",
        "When the cooldown of the newest retrain ends.",
        _left(lambda one: _seconds(one.cooldown_until)),
    ),
    LedgerGauge("refit_approvals_waiting", "Challengers that wait for a person.", lambda known: known.waiting),
)


def read_gauges(tally: LedgerSummary) -> dict[str, float | None]:
    """Reads every gauge of a project.

    Args:
        tally: What its ledger entries add up to.

    Returns:
        By name; `None` where there is nothing to read.

    Raises:
        StateError: If an entry is of another version of Refit.
    """
    newest = tally.newest()
    known = ProjectState(
        champion=tally.champion(),
        evidence=newest.evidence if newest else None,
        left=remaining_budget(build_history(tally.decision_entries), newest.policy) if newest else None,
        monitored_at=tally.monitored_at,
        decided=tally.decision_entries[0] if newest else None,
        waiting=len(tally.pending_verdicts),
    )
    return {reading.name: reading.of(known) for reading in LEDGER_GAUGES}
