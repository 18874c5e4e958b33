"""What a run of `refit score` was asked for and what it did, in the JSON keys that other programs rely on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from refit.inference.prediction_summary import PredictionHistogram
from refit.records.drift_findings import Drift
from refit.records.references import BrokenRule, Challenger, Champion
from refit.results.flows import drift_json
from refit.windows import BEGINNING, Window

LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""Rows of a file may be of days to come: those are what is worth predicting."""
EVERYTHING = Window(BEGINNING, LATEST)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Which rows are to be scored."""

    kind: Literal["load", "file", "table"]
    """Where they come from: the project's own load, a CSV or Parquet file, or a Delta table."""
    place: str
    """The file or the table; empty for the load."""
    window: Window
    """The event times asked for."""
    as_of: datetime
    """The instant that the run looks from, UTC."""

    @property
    def source(self) -> str:
        """Names where the rows come from: `load`, or the file or table."""
        return self.place or self.kind


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """What became of the rows that one version answered."""

    scored: int
    """Predictions that were written."""
    already: int
    """Those that the table held: the same row, scored by the same version."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What became of the rows: `rows_in = champion.scored + champion.already + quarantined`, always."""

    rows_in: int
    quarantined: int
    champion: VersionCounts
    shadow: VersionCounts | None
    """`None` where nothing shadows, or it could not answer."""
    span: Window | None = None
    """The event times of the rows that were scored; `None` where there are none."""
    skew: Drift | None = None
    """How far they lie from the rows that the champion was trained on; `None` where that is not watched, there are too
    few of them, or the champion has no reference profile."""
    histograms: tuple[tuple[str, PredictionHistogram], ...] = ()
    """What each version said, by its name, for the picture."""
    warnings: tuple[str, ...] = ()
    """Rules of the contract that are broken and not critical, and why a shadow is silent."""
    broken: tuple[BrokenRule, ...] = ()
    """The rules that rows broke."""


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """What one run did."""

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
        """Gives the outcome as JSON values.

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
