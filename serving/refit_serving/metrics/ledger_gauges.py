"""Gauges of a project's state, read from its ledger summary: champion, drift, score, labels, budget, approvals."""

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
    """The state that the gauges show. A part is `None` where it is switched off or does not exist yet."""

    champion: Champion | None
    evidence: Evidence | None
    """What the newest decision rested on."""
    budget: RemainingBudget | None
    """What the retrain budget leaves."""
    monitored_at: datetime | None
    decision: Entry | None
    approvals: int
    """How many challengers wait for approval."""

    @property
    def performance(self) -> Performance | None:
        """The score that the newest decision rested on."""
        return self.evidence.performance if self.evidence else None


@dataclass(frozen=True, slots=True)
class LedgerGauge:
    """A gauge and where its value comes from."""

    name: str
    """The metric name."""
    help: str
    """The help text of the metric."""
    read: Callable[[ProjectState], float | None]
    """Gives the value; `None` leaves the gauge out."""


def _champion(value: Callable[[Champion], float]) -> Callable[[ProjectState], float | None]:
    return lambda state: value(state.champion) if state.champion else None


def _evidence(value: Callable[[Evidence], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda state: value(state.evidence) if state.evidence else None


def _performance(value: Callable[[Performance], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda state: value(state.performance) if state.performance else None


def _budget(value: Callable[[RemainingBudget], float | None]) -> Callable[[ProjectState], float | None]:
    return lambda state: value(state.budget) if state.budget else None


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


LEDGER_GAUGES = (
    LedgerGauge("refit_champion_version", "The champion's version.", _champion(lambda one: one.version)),
    LedgerGauge("refit_champion_generation", "The champion's generation.", _champion(lambda one: one.generation)),
    LedgerGauge(
        "refit_champion_since_timestamp_seconds",
        "Time of the promotion or rollback that made the champion.",
        _champion(lambda one: one.since.timestamp()),
    ),
    LedgerGauge(
        "refit_champion_trained_until_timestamp_seconds",
        "End of the champion's training window: the age of the model is the time since then.",
        _champion(lambda one: one.model.trained_on.window.end.timestamp()),
    ),
    LedgerGauge(
        "refit_monitored_timestamp_seconds",
        "Time of the newest decision of a monitor run; a run without new rows records none.",
        lambda state: _seconds(state.monitored_at),
    ),
    LedgerGauge(
        "refit_decided_timestamp_seconds",
        "Time of the newest decision, of a monitor run or a person.",
        lambda state: _seconds(state.decision.at if state.decision else None),
    ),
    LedgerGauge("refit_window_rows", "Rows of the current window.", _evidence(lambda one: one.rows)),
    LedgerGauge(
        "refit_new_rows", "Rows newer than the champion's training window.", _evidence(lambda one: one.new_rows)
    ),
    LedgerGauge(
        "refit_drift_share",
        "Share of the feature columns that drifted in the newest window, from 0 to 1.",
        _evidence(lambda one: one.drift.share if one.drift else None),
    ),
    LedgerGauge(
        "refit_drifted",
        "Number of columns and predictions that drifted in the newest window.",
        _evidence(lambda one: len(one.drift.drifted) if one.drift else None),
    ),
    LedgerGauge(
        "refit_score", "The champion's realised score; higher is better.", _performance(lambda one: one.current)
    ),
    LedgerGauge(
        "refit_score_reference", "The reference that the score is compared with.", _performance(lambda p: p.reference)
    ),
    LedgerGauge(
        "refit_score_dropped",
        "1 if the score dropped significantly and by more than the threshold.",
        _performance(lambda one: one.dropped),
    ),
    LedgerGauge(
        "refit_label_coverage_ratio",
        "Share of the rows of the newest mature window that have labels, from 0 to 1.",
        _performance(lambda one: one.coverage),
    ),
    LedgerGauge(
        "refit_labels_until_timestamp_seconds",
        "End of the newest window that was scored on labels: the label lag is the time since then.",
        _performance(lambda one: one.window.end.timestamp()),
    ),
    LedgerGauge(
        "refit_budget_retrains_left", "Retrains left in the budget's period.", _budget(lambda one: one.retrains)
    ),
    LedgerGauge(
        "refit_budget_minutes_left",
        "Minutes of retraining and probing left in the budget's period, if they are limited.",
        _budget(lambda one: one.minutes),
    ),
    LedgerGauge(
        "refit_cooldown_until_timestamp_seconds",
        "End of the cooldown after the newest retrain.",
        _budget(lambda one: _seconds(one.cooldown_until)),
    ),
    LedgerGauge("refit_approvals_waiting", "Challengers that wait for approval.", lambda state: state.approvals),
)


def read_gauges(summary: LedgerSummary) -> dict[str, float | None]:
    """Reads all gauges of a project.

    Args:
        summary: The summary of its ledger entries.

    Returns:
        The values by metric name; `None` where there is no value.

    Raises:
        StateError: If an entry was written by an incompatible version of Refit.
    """
    newest = summary.newest()
    state = ProjectState(
        champion=summary.champion(),
        evidence=newest.evidence if newest else None,
        budget=remaining_budget(build_history(summary.decision_entries), newest.policy) if newest else None,
        monitored_at=summary.monitored_at,
        decision=summary.decision_entries[0] if newest else None,
        approvals=len(summary.pending_verdicts),
    )
    return {gauge.name: gauge.read(state) for gauge in LEDGER_GAUGES}
