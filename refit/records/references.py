"""References to models and rows, passed between tasks in place of models and frames, and the counts of an ingest.

The type of a model reference determines what may be done with it: only a judged `Challenger` can be promoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from refit.records.verdicts import Verdict
from refit.windows import Window, format_time, format_window


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A fitted model in the artifact store, not yet judged."""

    project: str
    run_id: str
    """The MLflow run that trained it."""
    uri: str
    """The location of its artifact, resolvable by MLflow."""
    trained_on: SnapshotRef
    """The rows it was trained on."""
    run_key: str
    """A hash of everything that determines the model: rows, code, configuration, lock file and seed."""
    sha256: str = ""
    """SHA-256 of its files, in hexadecimal; empty for models of former releases."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """A judged model with a version in the registry."""

    model: ModelRef
    version: int
    verdict: Verdict
    verdict_id: int
    """The ledger entry that records the verdict."""
    judged: ModelRef | None = None
    """The model that the gate judged, if `model` is the same recipe fitted again on more rows."""


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that serves."""

    model: ModelRef
    version: int
    generation: int
    """The number of this champion among the project's champions, from 1; a promotion is fenced by it."""
    since: datetime
    """When it was promoted, UTC."""
    judged: ModelRef | None = None
    """The model that the gate judged, if `model` is the same recipe fitted again on more rows."""

    def model_to_compare(self, rows: Window) -> ModelRef:
        """Returns the model that a challenger is compared with.

        Args:
            rows: The event times of the rows that both are evaluated on.

        Returns:
            The serving model. If it was trained on such rows but the judged one was not, the judged one: the same
            recipe, fitted before those rows.
        """
        served, judged = self.model, self.judged
        if judged is None or served.trained_on.window.end <= rows.start:
            return served
        return judged if judged.trained_on.window.end <= rows.start else served


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """The model of a version whose predictions are compared over time, always on rows that it was not fitted on.

    A model that was refitted on all rows has no predictions from before its promotion on unseen rows, so the judged
    model stands for it: the one that the gate compared on the holdout. Without a final fit the served model is that
    model.
    """

    role: Literal["served", "judged"]
    """Whether it is the model that serves, or the one that was judged before the final fit."""
    run_id: str
    """The MLflow run that trained it. Predictions of different runs are never compared."""


def identify_compared_model(version: Champion | Challenger) -> ComparedModel:
    """Identifies the model of a version whose predictions are compared over time.

    Args:
        version: The version.

    Returns:
        The judged model, if there was a final fit; else the one that serves.
    """
    if version.judged is None:
        return ComparedModel("served", version.model.run_id)
    return ComparedModel("judged", version.judged.run_id)


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A reference to the rows of a project's table at one table version and in one window; they never change."""

    project: str
    """The project's name."""
    version: int
    """The version of the project's table."""
    window: Window
    """The event times of the rows."""
    rows: int
    """The number of rows in the window at that version."""
    fingerprint: str
    """A hash of the content of all rows, independent of their order; at most 36 characters."""
    labelled: bool = False
    """Whether rows without a label are left out."""

    def as_json(self) -> dict[str, Any]:
        """Returns the reference as JSON values that other programs rely on.

        Returns:
            Table version, number of rows, window and fingerprint.
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
    """A snapshot's mature rows in two parts, a label delay apart."""

    train: SnapshotRef
    """The older rows, to train on."""
    holdout: SnapshotRef
    """The newest rows, which are never trained on."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A row rule of the data contract, and the number of rows of one ingest that broke it."""

    rule: str
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class LateRows:
    """Rows that arrived too late: an ingest passed over them, because they are older than its look-back."""

    rows: int
    """Rows that the load returns now, and that neither the table nor the quarantine has."""
    window: Window
    """Their event times."""

    def describe(self, project: str) -> str:
        """Describes the rows and the command that brings them in.

        Args:
            project: The project's name.

        Returns:
            One sentence, without capital and full stop.
        """
        rows = "1 row is" if self.rows == 1 else f"{self.rows:,} rows are"
        return (
            f"{rows} older than the look-back and not in the table ({format_window(self.window)}): "
            f"`{self.write_command(project)}` brings in what came late"
        )

    def write_command(self, project: str) -> str:
        """Writes the command that brings the rows in.

        Args:
            project: The project's name.

        Returns:
            The command.
        """
        return f"refit ingest {project} --since {format_time(self.window.start).replace(' ', 'T')}"


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The counts of one ingest: `rows_in = accepted + quarantined + superseded`, always."""

    project: str
    window: Window
    """The loaded window."""
    version: int
    """The version of the project's table afterwards."""
    rows_in: int
    """Rows that the load returned."""
    accepted: int
    """Rows that satisfy the contract, including those that the table already held."""
    quarantined: int
    """Rows that broke a critical row rule."""
    added: int
    """Accepted rows that the table did not hold before."""
    corrected: int
    """Accepted rows that replaced an older row with the same key."""
    warnings: tuple[str, ...] = ()
    """One sentence for each broken rule that is not critical."""
    broken: tuple[BrokenRule, ...] = ()
    """The rules that quarantined rows, the one with the most rows first; a row may break several."""
    superseded: int = 0
    """Rows that a later row of the same load with the same key replaced; they are kept in the quarantine as well.
    Records of former releases count them as quarantined."""
    late: LateRows | None = None
    """Rows that this ingest passed over; `None` if there are none, or nobody looked for them."""

    @property
    def left_out(self) -> str:
        """The rows that were not accepted, for a sentence: `12 quarantined`, `12 quarantined, 3 superseded`."""
        superseded = f", {self.superseded:,} superseded" if self.superseded else ""
        return f"{self.quarantined:,} quarantined{superseded}"

    def __post_init__(self) -> None:
        if self.rows_in != self.accepted + self.quarantined + self.superseded:
            raise ValueError(
                f"{self.rows_in} loaded rows are not the sum of {self.accepted} accepted, "
                f"{self.quarantined} quarantined and {self.superseded} superseded ones"
            )
