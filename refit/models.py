"""References to models. What may be done with one depends on its type: only a judged `Challenger` can be promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from refit.snapshots import SnapshotRef
from refit.verdicts import Verdict


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


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that serves."""

    model: ModelRef
    version: int
    generation: int
    """Counts the project's champions, from 1; the fence compares it."""
    since: datetime
    """When it was promoted, UTC."""
