"""What the monitor concluded, with every reason: a non-event is a decision too.

What is remembered of former decisions: retrains that were tried, minutes spent, gains that added up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

Action = Literal["retrain", "wait", "alert"]
Trigger = Literal["first", "drift", "performance", "probe", "schedule", "new_rows", "manual", "event", "watch"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One trigger or one guard, and what it said. All of them are always there."""

    check: str
    """A trigger's name, or a guard's: `cooldown`, `budget`, `under_way`, `rejected_before`."""
    fired: bool
    """Whether a trigger asks for its action, or a guard holds a retrain back."""
    value: float | None
    """What was measured; `None` where there was nothing to measure."""
    limit: float | None
    """What the value was held against; `None` where the rule has no number."""
    sentence: str
    """The same for people."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the evidence."""

    action: Action
    trigger: Trigger | None
    """What the action answers; `None` where nothing fired. A retrain that a guard holds back keeps its trigger."""
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit monitor --json`."""
        return {
            "action": self.action,
            "trigger": self.trigger,
            "reasons": [asdict(finding) for finding in self.findings],
        }

    @property
    def fired(self) -> tuple[Finding, ...]:
        """The rules that fired."""
        return tuple(finding for finding in self.findings if finding.fired)

    @property
    def reasons(self) -> list[str]:
        """What the rules that fired say, a sentence each; empty where none did."""
        return [finding.sentence for finding in self.fired]

    def __str__(self) -> str:
        return f"{self.action}: " + "; ".join(self.reasons or ["nothing fired"])


Ending = Literal["promoted", "pending", "rejected", "failed", "refused"]
"""How a retrain ended; `pending` is one whose challenger waits for a person, `refused` one that found nothing to train
on, so that nothing was fitted."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A retrain that was decided on."""

    decision: int
    """The decision's ledger entry; 0 in a backtest."""
    decided_at: datetime
    """The instant the evidence looked from, UTC."""
    started: datetime
    """When it was decided by the clock, UTC; the same in a backtest."""
    trigger: Trigger
    generation: int
    """The champion's at that time."""
    window_end: datetime
    """The end of the current window at that time."""
    mature_until: datetime | None
    """How far labels were known at that time."""
    ending: Ending | None = None
    """`None` while it has not ended, or nobody was left to say so."""
    minutes: float = 0.0
    """How long it took."""
    turn: str | None = None
    """The turn it was decided in, where a turn was taken first: names a dead one."""

    @property
    def counted(self) -> bool:
        """Whether it takes from the budget: the first champion does not, nor what found nothing to train on."""
        return self.trigger != "first" and self.ending != "refused"


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """Minutes of probing within about one monitoring window."""

    since: datetime
    until: datetime
    minutes: float


@dataclass(frozen=True, slots=True)
class AccruedGain:
    """What retraining would have gained since the last promotion: a running sum that never falls below zero."""

    loss: float = 0.0
    """In units of the loss, times windows."""
    errors: float = 0.0
    """In units of the loss, times rows."""
    until: datetime | None = None
    """The end of the newest judged window that is in it."""


@dataclass(frozen=True, slots=True)
class FormerDecision:
    """The decision before."""

    id: int
    as_of: datetime
    length: timedelta
    action: Action
    trigger: Trigger | None
