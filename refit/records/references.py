"""References to models. What may be done with one depends on its type: only a judged `Challenger` can be promoted.

References to rows: what tasks hand to each other instead of frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

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

    def model_to_compare(self, rows: Window) -> ModelRef:
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


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """Names the rows of a project's table at one table version and in one window; they never change."""

    project: str
    """The project's name."""
    version: int
    """The version of the project's table."""
    window: Window
    """The event times covered."""
    rows: int
    """How many rows the window holds at that version."""
    fingerprint: str
    """A content hash over all the rows, independent of their order; at most 36 characters."""
    labelled: bool = False
    """Whether the rows without a label are left out."""

    def as_json(self) -> dict[str, Any]:
        """Gives the reference as JSON values, as other programs rely on them.

        Returns:
            Table version, count of rows, window and fingerprint.
        """
        return {
            "version": self.version,
            "rows": self.rows,
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, slots=True)
class Split:
    """A snapshot's mature rows in two parts that are a label delay apart."""

    train: SnapshotRef
    """The older rows, to train on."""
    holdout: SnapshotRef
    """The newest rows, which no training sees."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A row rule of the data contract, and how many rows of one ingest broke it."""

    rule: str
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What one ingest did: `rows_in = accepted + quarantined`, always."""

    project: str
    window: Window
    """The window that was loaded."""
    version: int
    """The version of the project's table afterwards."""
    rows_in: int
    """Rows that the load gave."""
    accepted: int
    """Rows that keep the contract, those that the table already held included."""
    quarantined: int
    """Rows that broke a critical row rule or were superseded by a later row with the same key."""
    added: int
    """Accepted rows that the table did not hold before."""
    corrected: int
    """Accepted rows that replaced an older row with the same key."""
    warnings: tuple[str, ...] = ()
    """One sentence for each rule that was broken without being critical."""
    broken: tuple[BrokenRule, ...] = ()
    """The rules that put rows into quarantine, the one with most rows first; a row may break several."""

    def __post_init__(self) -> None:
        if self.rows_in != self.accepted + self.quarantined:
            raise ValueError(
                f"{self.rows_in} rows in are not {self.accepted} accepted + {self.quarantined} quarantined"
            )
