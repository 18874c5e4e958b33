"""What the monitor concluded, with every reason: a non-event is a decision too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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

    def __str__(self) -> str:
        spoken = [finding.sentence for finding in self.findings if finding.fired] or ["nothing fired"]
        return f"{self.action}: " + "; ".join(spoken)
