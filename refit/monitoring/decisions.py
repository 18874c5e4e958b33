"""Values of a decision and of its history: findings, attempted retrains, probe costs and accrued gain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

Action = Literal["retrain", "wait", "alert"]
Trigger = Literal["first", "drift", "performance", "probe", "schedule", "new_rows", "manual", "event", "watch"]
Ending = Literal["promoted", "pending", "rejected", "failed", "refused"]
"""How a retrain ended: `pending` if its challenger waits for approval, `refused` if there was nothing to train on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one trigger or guard. A decision holds one finding for each of them, fired or not."""

    check: str
    """The name of a trigger, or of a guard: `cooldown`, `budget`, `under_way`, `rejected_before`."""
    fired: bool
    """Whether the trigger asks for its action, or the guard holds a retrain back."""
    value: float | None
    """The measured value; `None` if nothing was measured."""
    limit: float | None
    """The limit the value is compared with; `None` if the rule has none."""
    sentence: str = field(compare=False)
    """The same for people. It is not compared, since releases may word it differently."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The action that follows from the evidence, with the finding of every trigger and guard."""

    action: Action
    trigger: Trigger | None
    """The trigger that led to the action; `None` if none fired. It is kept when a guard holds the retrain back."""
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit monitor --json`."""
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A retrain that was decided on, finished or not."""

    decision: int
    """The ledger entry of its decision; 0 in a backtest."""
    decided_at: datetime
    """The `as_of` of the evidence, UTC."""
    started: datetime
    """When it was decided by the clock, UTC; in a backtest the same as `decided_at`."""
    trigger: Trigger
    generation: int
    """The champion's generation at that time."""
    window_end: datetime
    """The end of the current window at that time."""
    mature_until: datetime | None
    """The end of the mature rows at that time, UTC; `None` without any."""
    ending: Ending | None = None
    """How it ended; `None` while it is running, or if its process was killed."""
    minutes: float = 0.0
    """How long it took; 0 while it has not ended."""
    turn: str | None = None
    """The identifier of the retrain slot it was decided in, which identifies a killed retrain; `None` outside of
    one."""

    @property
    def counted(self) -> bool:
        """Whether it uses budget: the retrain for the first champion and refused ones do not."""
        return self.trigger != "first" and self.ending != "refused"


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """The minutes of benefit probes within about one monitoring window."""

    since: datetime
    until: datetime
    minutes: float


@dataclass(frozen=True, slots=True)
class AccruedGain:
    """The gain missed since the last promotion by not retraining: a running sum that never falls below zero."""

    loss: float = 0.0
    """In units of the loss, multiplied by windows."""
    errors: float = 0.0
    """In units of the loss, multiplied by rows."""
    until: datetime | None = None
    """The end of the newest judged window in the sum; `None` before the first probe."""


@dataclass(frozen=True, slots=True)
class FormerDecision:
    """The decision before the current one."""

    id: int
    """Its ledger entry."""
    as_of: datetime
    length: timedelta
    """The length of a monitoring window at that time."""
    action: Action
    trigger: Trigger | None
