"""Scores a batch: every row that keeps the contract is answered by the champion, and by the version that shadows it.

What is gathered while the rows of a batch are answered piece by piece: answers, their profile, event times.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from refit.data.split import window_of
from refit.drift.comparison import Reference, compare_with_reference
from refit.drift.profile import Profile
from refit.errors import ModelError
from refit.inference.prediction_rows import PredictionContext, Role
from refit.inference.prediction_summary import PredictionHistogram, count_predictions, output_columns
from refit.modelling.predictions import Predictions
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.records.references import Challenger, Champion
from refit.results.score import ScoredRows, ScoreRequest, VersionCounts
from refit.windows import Window
from refit_tasks.monitoring.drift import added, load_reference
from refit_tasks.prediction.input_rows import AcceptedRows, load_and_validate, scored_end, table_schema
from refit_tasks.prediction.scorers import Scorer, load_scorer
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
    sought: ScoreRequest,
    champion: Champion,
    shadow: Challenger | None,
    at: datetime,
    run: str | None = None,
) -> ScoredRows:
    """Loads rows, judges them by the contract, has the versions answer, and writes what they said in one commit.

    Rows, answers and what is to be written lie on disk; memory holds a piece of them. The quarantine is written first,
    then the predictions: a run that is killed at any moment and repeated finds what it has written.

    Args:
        definition: The project.
        sought: Which rows.
        champion: The version that serves.
        shadow: The version that answers beside it, if any.
        at: When, UTC.
        run: The flow run, for the record.

    Returns:
        What became of the rows.

    Raises:
        LoadFailed: If the rows cannot be read.
        ContractViolation: If the rows as a whole break the contract; nothing is written then.
        ModelError: If the champion cannot be loaded, or cannot answer. A shadow that cannot is left out.
    """
    schema = table_schema(definition)
    first = load_scorer(definition, champion.model, _make_context(champion.version, champion, "champion", at), schema)
    second, silent = _load_shadow(definition, champion, shadow, at, schema)
    with staging_area(definition.name) as area:
        # What a shadow wants to see beyond that may be missing: it is silent then.
        admitted = load_and_validate(definition, sought, first.kinds, schema, area)
        if admitted is None:
            with_project(log, definition.name).info("nothing to score in %s", sought.source)
            return ScoredRows(0, 0, NO_ROWS, None)
        batch = ScoringBatch(definition, area, load_reference(champion.model) if definition.monitoring.drift else None)
        batch.score(admitted, first, second, run)
        done = _write_batch(batch, sought, admitted)
    done = replace(done, warnings=(*admitted.warnings, *silent, *batch.silent))
    with_project(log, definition.name).info("%d rows in, %d scored, %d were there", done.rows_in, *_row_counts(done))
    return done


def _row_counts(done: ScoredRows) -> tuple[int, int]:
    return done.champion.scored, done.champion.already


def _write_batch(batch: ScoringBatch, sought: ScoreRequest, admitted: AcceptedRows) -> ScoredRows:
    """Writes what was said, and gathers what there is to tell."""
    times, counts = batch.span, [NO_ROWS] * len(batch.said)
    if times:
        until = scored_end(sought, batch.definition, times.end)
        counts = commit_predictions(batch.definition.name, batch.said, times, until)
    return ScoredRows(
        rows_in=admitted.rows_in,
        quarantined=admitted.sieve.rejected.rows,
        champion=counts[0],
        shadow=counts[1] if len(counts) > 1 else None,
        span=times,
        skew=batch.skew(),
        histograms=batch.spreads(),
        broken=admitted.sieve.broken,
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
    """A batch while it is answered."""

    definition: Project
    area: Path
    reference: Reference | None
    """What the champion was trained on; `None` where that is not compared."""
    said: list[StagedPredictions] = field(default_factory=list)
    """What each version said, the champion first."""
    data: Profile | None = None
    scores: Profile | None = None
    times: list[np.ndarray] = field(default_factory=list)
    silent: tuple[str, ...] = ()
    """Why a shadow has not answered."""

    def score(self, admitted: AcceptedRows, first: Scorer, second: Scorer | None, run: str | None) -> None:
        """Has all versions answer; a shadow that cannot takes no other's answers with it.

        Args:
            admitted: The rows.
            first: The champion.
            second: The version that shadows it, if any.
            run: The flow run, for the record.

        Raises:
            ModelError: If the champion cannot answer.
        """
        gauge, done = ProgressBar(self.definition.name, "scoring"), 0
        self.said = [StagedPredictions.begun(one.asked, self.area) for one in (first, second) if one]
        for piece in admitted.sieve.accepted():
            answers = first.answer(piece)
            self.said[0].add(first.recorded(self.definition, piece, answers, run))
            self._profile(piece, answers)
            self.times.append(piece[self.definition.timestamp].cast(pa.int64()).to_numpy())
            if second and len(self.said) > 1:
                self._shadow(second, piece, run)
            done += piece.num_rows
            gauge.show(done, admitted.sieve.accepted_rows)

    @property
    def span(self) -> Window | None:
        """The event times of all rows."""
        return window_of(np.concatenate(self.times)) if self.times else None

    def skew(self) -> Drift | None:
        """Holds the rows, and what the champion said of them, against those that it was trained on.

        Returns:
            What was found; `None` where there is no reference, or there are too few rows.
        """
        policy = self.definition.monitoring.drift
        if policy is None or self.reference is None or self.data is None or self.data.rows < policy.min_rows:
            return None
        return compare_with_reference(
            self.reference, self.data, self.scores, window_of(np.concatenate(self.times)), policy
        )

    def spreads(self) -> tuple[tuple[str, PredictionHistogram], ...]:
        """Counts what each version said, in the champion's cells.

        Returns:
            The spreads by the versions' names.
        """
        ends, found = None, []
        for one in self.said:
            if spread := count_predictions(one.pieces, ends):
                ends = spread.ends
                found.append((f"{one.asked.role}, version {one.asked.version}", spread))
        return tuple(found)

    def _shadow(self, second: Scorer, piece: pa.Table, run: str | None) -> None:
        try:
            self.said[1].add(second.recorded(self.definition, piece, second.answer(piece), run))
        except ModelError as fault:
            self.silent = (f"the shadow, version {second.asked.version}, cannot answer: {fault}",)
            with_project(log, self.definition.name).warning("%s", self.silent[0])
            del self.said[1]

    def _profile(self, piece: pa.Table, answers: Predictions) -> None:
        known = self.reference
        if known is None or not set(known.data.columns) <= set(piece.column_names):
            return
        timestamp = self.definition.timestamp
        self.data = added(self.data, piece, known.data.current_binning(), timestamp)
        if known.scores:
            said = output_columns(answers).append_column(timestamp, piece[timestamp])
            self.scores = added(self.scores, said, known.scores.current_binning(), timestamp)
