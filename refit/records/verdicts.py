"""The gate's verdict: every rule with its number, limit and sentence, and how sentences write scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reason:
    """The result of one rule of the gate."""

    check: str
    """The rule's name: lower-case words joined by underscores."""
    passed: bool
    """Whether the rule passed."""
    value: float | None
    """The measured value; `None` if there was nothing to measure."""
    limit: float | None
    """The limit of the value; `None` if the rule has no number."""
    sentence: str = field(compare=False)
    """The result in a sentence."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's conclusion about a challenger."""

    reasons: tuple[Reason, ...]
    """All rules, whether they passed or not; at least one."""

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueError("a verdict has no reasons, so it would promote anything: add at least one")

    @property
    def promote(self) -> bool:
        """Whether every rule passed."""
        return all(reason.passed for reason in self.reasons)

    def __str__(self) -> str:
        decisive = [reason for reason in self.reasons if reason.passed == self.promote]
        return f"{'promote' if self.promote else 'reject'}: " + "; ".join(reason.sentence for reason in decisive)


def finite_or_none(value: float) -> float | None:
    """Replaces a number that JSON cannot represent.

    Args:
        value: Any number.

    Returns:
        The number, or `None` if it is NaN or infinite.
    """
    return value if math.isfinite(value) else None


def format_score(value: float) -> str:
    """Writes a score for a sentence.

    Args:
        value: The score; NaN if it is undefined.

    Returns:
        Four significant digits, or `not defined on these rows`.
    """
    return "not defined on these rows" if math.isnan(value) else f"{value:.4g}"
