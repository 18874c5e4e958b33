"""The outcome of a gate: every rule with its number, its limit and a sentence.

Numbers as the reasons of a gate write them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule of the gate and how it came out."""

    check: str
    """The rule's name: lower case words joined by underscores."""
    passed: bool
    value: float | None
    """What was measured; `None` where there was nothing to measure."""
    limit: float | None
    """What the value was held against; `None` where the rule has no number."""
    sentence: str = field(compare=False)
    """The same for people. It is not compared, since releases may word it differently."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate concluded about a challenger."""

    reasons: tuple[Reason, ...]
    """All rules, always, whether they passed or not."""

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueError("a verdict without a reason would promote anything: give at least one")

    @property
    def promote(self) -> bool:
        """Whether every rule passed."""
        return all(reason.passed for reason in self.reasons)

    def __str__(self) -> str:
        decisive = [reason for reason in self.reasons if reason.passed == self.promote]
        return f"{'promote' if self.promote else 'reject'}: " + "; ".join(reason.sentence for reason in decisive)


def finite_or_none(value: float) -> float | None:
    """Leaves out what JSON has no number for.

    Args:
        value: Any number.

    Returns:
        The number, or `None` where it is NaN or infinite.
    """
    return value if math.isfinite(value) else None


def format_score(value: float) -> str:
    """Writes a score.

    Args:
        value: The score; NaN where it is not defined.

    Returns:
        Four digits, or words.
    """
    return "not defined on these rows" if math.isnan(value) else f"{value:.4g}"
