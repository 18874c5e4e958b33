"""Batch scoring: the champion and its shadow predict every row that keeps the data contract, piece by piece."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from refit.data.split import window_of
from refit.errors import ModelError
from refit.inference.prediction_rows import PredictionContext, Role
from refit.inference.prediction_summary import PredictionHistogram, count_predictions
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit.results.score import ScoredRows, ScoreRequest, VersionCounts
from refit.windows import Window
from refit_tasks.prediction.input_rows import AcceptedRows, load_and_validate, scored_end, table_schema
from refit_tasks.prediction.scorers import Scorer, load_scorer
from refit_tasks.prediction.skew import SkewMeter, open_skew_meter
from refit_tasks.prediction.write_predictions import StagedPredictions, commit_predictions
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.runs.progress import ProgressBar
from refit_tasks.storage.staging import staging_area

log = logging.getLogger(__name__)

NO_ROWS = VersionCounts(0, 0)


@define_retry_task("score {definition.name} by version {champion.version}", delay_seconds=2)
def score_rows(
    definition: Project,
    request: ScoreRequest,
    champion: Champion,
    shadow: Challenger | None,
    at: datetime,
    run: str | None = None,
) -> ScoredRows:
    """Loads and validates rows, predicts them, and writes the predictions in one commit.

    Rows and predictions are staged on disk; memory holds a piece of them. The quarantine is written first, then the
    predictions: a run that is killed at any moment and repeated writes nothing twice.

    Args:
        definition: The project.
        request: The source and window of the rows.
        champion: The version that serves.
        shadow: The challenger that shadows it, if any.
        at: The time of scoring, UTC.
        run: The id of the flow run, which is stored with the predictions.

    Returns:
        The counts of the rows, and how they differ from the training rows.

    Raises:
        LoadFailed: If the rows cannot be read.
        ContractViolation: If the batch as a whole breaks the contract. Nothing is written then.
        ModelError: If the champion cannot be loaded or cannot predict. A shadow that cannot is left out.
    """
    schema = table_schema(definition)
    first = load_scorer(definition, champion.model, _make_context(champion.version, champion, "champion", at), schema)
    second, shadow_warnings = _load_shadow(definition, champion, shadow, at, schema)
    with staging_area(definition.name) as area:
        # Further features of a shadow may be missing: it is left out then.
        accepted = load_and_validate(definition, request, first.kinds, schema, area)
        if accepted is None:
            with_project(log, definition.name).info("nothing to score in %s", request.source)
            return ScoredRows(0, 0, NO_ROWS, None)
        batch = ScoringBatch(definition, area, open_skew_meter(definition, champion, at, schema))
        batch.score(accepted, first, second, run)
        done = _write_batch(batch, request, accepted)
    done = replace(done, warnings=(*accepted.warnings, *shadow_warnings, *batch.shadow_warnings, *batch.skew.warnings))
    with_project(log, definition.name).info("%d rows in, %d scored, %d scored before", done.rows_in, *_row_counts(done))
    return done


def _row_counts(done: ScoredRows) -> tuple[int, int]:
    return done.champion.scored, done.champion.already


def _write_batch(batch: ScoringBatch, request: ScoreRequest, accepted: AcceptedRows) -> ScoredRows:
    """Writes the predictions, and summarizes the batch."""
    times, counts = batch.span, [NO_ROWS] * len(batch.staged)
    if times:
        until = scored_end(request, batch.definition, times.end)
        counts = commit_predictions(batch.definition.name, batch.staged, times, until)
    return ScoredRows(
        rows_in=accepted.rows_in,
        quarantined=accepted.sieve.rejected.rows,
        champion=counts[0],
        shadow=counts[1] if len(counts) > 1 else None,
        span=times,
        skew=batch.skew.measure(times) if times else None,
        histograms=batch.spreads(),
        broken=accepted.sieve.broken,
    )


def _make_context(version: int, champion: Champion, role: Role, at: datetime) -> PredictionContext:
    return PredictionContext(version, champion.generation, role, "batch", at)


def _load_shadow(
    definition: Project, champion: Champion, shadow: Challenger | None, at: datetime, schema: pa.Schema
) -> tuple[Scorer | None, tuple[str, ...]]:
    if shadow is None:
        return None, ()
    try:
        return load_scorer(definition, shadow.model, _make_context(shadow.version, champion, "shadow", at), schema), ()
    except ModelError as fault:
        with_project(log, definition.name).warning("the shadow, version %d, is left out: %s", shadow.version, fault)
        return None, (f"the shadow, version {shadow.version}, cannot be loaded: {fault}",)


@dataclass(slots=True)
class ScoringBatch:
    """A batch while it is scored: staged predictions, comparison with the reference, and event times."""

    definition: Project
    area: Path
    skew: SkewMeter
    """Compares the batch with the champion's reference."""
    staged: list[StagedPredictions] = field(default_factory=list)
    """The predictions of each version, the champion first."""
    times: list[np.ndarray] = field(default_factory=list)
    shadow_warnings: tuple[str, ...] = ()
    """Why the shadow was left out."""

    def score(self, accepted: AcceptedRows, first: Scorer, second: Scorer | None, run: str | None) -> None:
        """Predicts the rows with all versions; a shadow that fails is left out.

        Args:
            accepted: The rows.
            first: The champion.
            second: The shadow, if any.
            run: The id of the flow run.

        Raises:
            ModelError: If the champion cannot predict.
        """
        gauge, done = ProgressBar(self.definition.name, "scoring"), 0
        self.staged = [StagedPredictions.create(one.context, self.area) for one in (first, second) if one]
        for piece in accepted.sieve.accepted():
            answers = first.predict(piece)
            self.staged[0].add(first.to_rows(self.definition, piece, answers, run))
            self.skew.add(piece, answers, accepted.sieve.accepted_rows)
            self.times.append(piece[self.definition.timestamp].cast(pa.int64()).to_numpy())
            if second and len(self.staged) > 1:
                self._shadow(second, piece, run)
            done += piece.num_rows
            gauge.show(done, accepted.sieve.accepted_rows)

    @property
    def span(self) -> Window | None:
        """The window of the event times of all rows; `None` without rows."""
        return window_of(np.concatenate(self.times)) if self.times else None

    def spreads(self) -> tuple[tuple[str, PredictionHistogram], ...]:
        """Counts the predictions of each version, in the bins of the champion.

        Returns:
            Pairs of a version's name and its histogram.
        """
        ends, found = None, []
        for one in self.staged:
            if spread := count_predictions(one.pieces, ends):
                ends = spread.ends
                found.append((f"{one.context.role}, version {one.context.version}", spread))
        return tuple(found)

    def _shadow(self, second: Scorer, piece: pa.Table, run: str | None) -> None:
        try:
            self.staged[1].add(second.to_rows(self.definition, piece, second.predict(piece), run))
        except ModelError as fault:
            self.shadow_warnings = (f"the shadow, version {second.context.version}, cannot predict: {fault}",)
            with_project(log, self.definition.name).warning("%s", self.shadow_warnings[0])
            del self.staged[1]
