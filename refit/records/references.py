"""References to models. What may be done with one depends on its type: only a judged `Challenger` can be promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from refit.records.snapshots import SnapshotRef
from refit.records.verdicts import Verdict
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A fitted model in the artifact store, unjudged."""

    project: str
    run_id: str
    """The MLflow run that trained it."""
    uri: str
    """Where its artifact lies; resolvable by MLflow."""
    trained_on: SnapshotRef
    """The rows it was trained on."""
    run_key: str
    """A hash of all that determines the model: rows, code, configuration, lock file and seed."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model that has been judged and has a version in the registry."""

    model: ModelRef
    version: int
    verdict: Verdict
    verdict_id: int
    """The ledger entry that records the verdict."""
    judged: ModelRef | None = None
    """The model that the gate judged, where `model` is the same recipe fitted again on more rows."""


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that serves."""

    model: ModelRef
    version: int
    generation: int
    """Counts the project's champions, from 1; the fence compares it."""
    since: datetime
    """When it was promoted, UTC."""
    judged: ModelRef | None = None
    """The model that the gate judged, where `model` is the same recipe fitted again on more rows."""

    def rival_on(self, rows: Window) -> ModelRef:
        """Names the model that a challenger is compared with.

        Args:
            rows: The event times of the rows that both are to be judged on.

        Returns:
            The model that serves. Where it has seen such rows, the judged one, if that has seen none: the same recipe,
            as it was before it saw them.
        """
        served, judged = self.model, self.judged
        if judged is None or served.trained_on.window.end <= rows.start:
            return served
        return judged if judged.trained_on.window.end <= rows.start else served
