"""Scores of models on the same holdout, and the judgement of a challenger as the ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from refit.gate.evidence import UNMEASURED, Evidence, SandboxRun
from refit.inference.onnx_choice import ServingForm
from refit.policies.gate import GatePolicy
from refit.records.contributions import Contributions
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
    contributions: Contributions | None = None
    """What the rows of each block contribute to `value`; `None` where the metric cannot be estimated, and in records of
    releases that compared the scores of blocks."""
    undefined: str | None = None
    """Why the metric cannot be estimated on these rows, and one that can; `None` if it can."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger, champion and the trivial baseline on the same rows, in the same blocks."""

    metric: str
    """The scorer's name."""
    holdout: SnapshotRef
    challenger: Evaluation
    baseline: Evaluation
    """The trivial model: the most frequent class or the mean of the training rows."""
    champion: Evaluation | None
    """`None` while the project has no champion."""
    stand_in: bool = False
    """Whether the model that the gate had judged was scored in place of the champion, which has seen these rows."""
    evidence: Evidence = UNMEASURED
    """What was measured besides the scores."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A challenger's verdict with all that it rests on: `decide(comparison, policy)` leads to the same verdict."""

    model: ModelRef
    """The model that was judged."""
    comparison: Comparison
    policy: GatePolicy
    verdict: Verdict
    over: Champion | None
    """The champion it was compared with; `None` if there was none."""
    ingestion: Ingestion
    """The result of the ingest before the training."""
    reason: str = "manual"
    """Why the retrain was started."""
    served: ModelRef | None = None
    """The same recipe refitted on all mature rows, including the holdout; `None` where the judged model itself may
    serve."""
    bound: Reason | None = None
    """How the refitted model compares with the judged one; `None` without a refitted model."""
    rehearsal: SandboxRun | None = None
    """How the refitted model behaved in a fresh process; the judged one's run is in the comparison."""
    recipe: Recipe | None = None
    """How the model that serves was made; `None` in records of releases that did not keep it."""
    form: ServingForm | None = None
    """The runtime that serves that model; `None` where none was chosen, and scikit-learn serves."""

    @property
    def serving(self) -> ModelRef:
        """The model that is registered, and serves if it is promoted."""
        return self.served or self.model

    @property
    def generation(self) -> int:
        """The generation it was compared with, and the only one it may replace; 0 without a champion."""
        return self.over.generation if self.over else 0
