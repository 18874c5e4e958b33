"""What models scored on the same unseen rows.

A verdict with all that it rests on: what the ledger keeps, so that it can be explained and decided again.
"""

from __future__ import annotations

from dataclasses import dataclass

from refit.gate.evidence import UNMEASURED, Evidence, SandboxRun
from refit.inference.onnx_choice import ServingForm
from refit.policies.gate import GatePolicy
from refit.records.recipes import Recipe
from refit.records.references import Champion, Ingestion, ModelRef, SnapshotRef
from refit.records.verdicts import Reason, Verdict


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """One challenger's verdict and its evidence: `decide(comparison, policy)` gives the verdict again."""

    model: ModelRef
    """The model that was judged."""
    comparison: Comparison
    policy: GatePolicy
    verdict: Verdict
    over: Champion | None
    """The champion it was compared with; `None` if there was none."""
    ingestion: Ingestion
    """What the ingest before the training did."""
    reason: str = "manual"
    """Why the retrain was started."""
    served: ModelRef | None = None
    """The judged recipe fitted again on all mature rows, the holdout included; `None` where the judged model itself is
    what may serve."""
    bound: Reason | None = None
    """How the model that was fitted again compares with the judged one; `None` where none was fitted."""
    rehearsal: SandboxRun | None = None
    """How the model that was fitted again behaved in a fresh process; the judged one's is in the comparison."""
    recipe: Recipe | None = None
    """What the model that serves was made with; `None` in records of versions that did not keep it."""
    form: ServingForm | None = None
    """In which form that model serves; `None` where none was chosen, and scikit-learn's own serves."""

    @property
    def serving(self) -> ModelRef:
        """The model that becomes a version, and serves if it is promoted."""
        return self.served or self.model

    @property
    def generation(self) -> int:
        """The generation it was compared with, the only one it may follow; 0 if there was none."""
        return self.over.generation if self.over else 0
