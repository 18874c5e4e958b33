"""What models scored on the same unseen rows."""

from __future__ import annotations

from dataclasses import dataclass

from refit.gate.evidence import UNMEASURED, Evidence
from refit.records.snapshots import SnapshotRef


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model's scores on a holdout. Higher is better, always."""

    value: float
    """The primary metric over all rows."""
    blocks: tuple[float, ...]
    """The primary metric in consecutive blocks of time; NaN where a block allows none (one class only)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger, champion and the trivial baseline on the same rows, in the same blocks."""

    metric: str
    """The scorer's name."""
    holdout: SnapshotRef
    challenger: Evaluation
    baseline: Evaluation
    """The most frequent class or the mean of the training rows."""
    champion: Evaluation | None
    """`None` while the project has no champion."""
    stand_in: bool = False
    """Whether the champion was scored as the gate had judged it, since the model that serves has seen these rows."""
    evidence: Evidence = UNMEASURED
    """What was measured beside the scores."""
