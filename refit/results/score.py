"""The request and the result of `refit score`, with the JSON keys that other programs rely on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from refit.inference.prediction_summary import PredictionHistogram
from refit.loads.csv_format import CsvFormat
from refit.records.drift_findings import Drift
from refit.records.references import BrokenRule, Challenger, Champion
from refit.results.flows import drift_json
from refit.windows import BEGINNING, Window

LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of all event times: rows of a file may lie in the future, and those are worth predicting."""
EVERYTHING = Window(BEGINNING, LATEST)
"""The window of all event times."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The rows to score."""

    kind: Literal["load", "file", "table"]
    """Their source: the project's own load, a CSV or Parquet file, or a Delta table."""
    place: str
    """The file or the table; empty for the load."""
    window: Window
    """The requested event times."""
    as_of: datetime
    """The instant as of which the run scores, UTC."""
    form: CsvFormat | None = None
    """The form of a CSV file."""

    @property
    def source(self) -> str:
        """The source of the rows: `load`, or the file or table."""
        return self.place or self.kind


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """The counts of the rows that one version predicted."""

    scored: int
    """Predictions that were written."""
    already: int
    """Predictions that the table already held: the same row, scored by the same version."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The counts of a scoring run: `rows_in = champion.scored + champion.already + quarantined`, always."""

    rows_in: int
    quarantined: int
    champion: VersionCounts
    shadow: VersionCounts | None
    """`None` if there is no shadow, or it could not predict."""
    span: Window | None = None
    """The event times of the scored rows; `None` if there are none."""
    skew: Drift | None = None
    """The drift of these rows from the champion's training rows; `None` if drift is switched off, there are too few
    rows, or the champion has no reference profile."""
    histograms: tuple[tuple[str, PredictionHistogram], ...] = ()
    """The predictions of each version, by its name, for the picture."""
    warnings: tuple[str, ...] = ()
    """Broken rules that are not critical, and why a shadow did not predict."""
    broken: tuple[BrokenRule, ...] = ()
    """The rules that rows broke."""


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """The result of one scoring run."""

    project: str
    run_id: str
    """The Prefect flow run."""
    request: ScoreRequest
    champion: Champion
    shadow: Challenger | None
    scored: ScoredRows
    seconds: float
    """Wall-clock time of the whole flow."""

    def as_json(self) -> dict[str, Any]:
        """Returns the result as JSON values.

        Returns:
            The keys of `refit score --json`.
        """
        done, window = self.scored, self.request.window
        return {
            "project": self.project,
            "run_id": self.run_id,
            "as_of": self.request.as_of.isoformat(),
            "source": self.request.source,
            "window": _window(done.span if window == EVERYTHING else window),
            "rows": {
                "in": done.rows_in,
                "scored": done.champion.scored,
                "quarantined": done.quarantined,
                "already": done.champion.already,
            },
            "champion": {"version": self.champion.version, "generation": self.champion.generation},
            "shadow": self._shadow(),
            "skew": drift_json(done.skew) if done.skew else None,
            "warnings": list(done.warnings),
            "seconds": round(self.seconds, 3),
        }

    def _shadow(self) -> dict[str, Any] | None:
        if self.shadow is None or self.scored.shadow is None:
            return None
        done = self.scored.shadow
        return {"version": self.shadow.version, "scored": done.scored, "already": done.already}


def _window(found: Window | None) -> dict[str, str] | None:
    return {"start": found.start.isoformat(), "end": found.end.isoformat()} if found else None
