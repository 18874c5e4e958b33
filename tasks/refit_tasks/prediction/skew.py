"""Comparison of a scored batch, and of predictions for it, with the reference of the champion."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from refit.data.column_types import cast_changed
from refit.drift.comparison import Reference, ScoreProfile, compare_with_reference
from refit.drift.profile import Profile
from refit.errors import ModelError
from refit.inference.prediction_rows import PredictionContext
from refit.inference.prediction_summary import output_columns
from refit.modelling.predictions import Predictions
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.records.references import Champion, ComparedModel, identify_compared_model
from refit.windows import Window
from refit_tasks.monitoring.drift import extend_profile, load_reference
from refit_tasks.prediction.scorers import Scorer, load_scorer
from refit_tasks.project_log import with_project
from refit_tasks.storage.snapshot_rows import read_training_schema

log = logging.getLogger(__name__)

JUDGED_ROWS = 50_000
"""About the most rows, drawn from the whole batch, that the judged model predicts beside a refitted champion."""


@dataclass(slots=True)
class SkewMeter:
    """The profiles of a batch while it is scored, in the bins of the champion's reference."""

    definition: Project
    reference: Reference | None
    """`None` if drift is not monitored, or the champion was registered without a profile."""
    model: ComparedModel
    """The model whose predictions are compared."""
    judged: Scorer | None
    """That model, if it is another one than the champion."""
    rng: np.random.Generator
    """Draws the rows that the judged model predicts."""
    trained_schema: pa.Schema | None = None
    """The schema that the table had when the champion was trained; `None` if that version of the table is gone."""
    data: Profile | None = None
    scores: Profile | None = None
    warnings: tuple[str, ...] = ()
    """Why predictions are not compared."""

    def add(self, piece: pa.Table, answers: Predictions, batch_rows: int) -> None:
        """Counts a piece of the batch.

        Args:
            piece: The rows.
            answers: The champion's predictions.
            batch_rows: The number of rows of the whole batch.
        """
        known = self.reference
        if known is None or not set(known.data.columns) <= set(piece.column_names):
            return
        former = cast_changed(piece, self.trained_schema) if self.trained_schema else piece
        self.data = extend_profile(self.data, former, known.data.current_binning(), self.definition.timestamp)
        if self.judged:
            self._add_judged(self.judged, known.scores, piece, batch_rows)
        else:
            self._add_scores(known.scores, piece, answers)

    def measure(self, window: Window) -> Drift | None:
        """Compares the batch with the reference.

        Args:
            window: The event times of the batch.

        Returns:
            The drift; `None` if there is no reference, or there are too few rows.
        """
        policy = self.definition.monitoring.drift
        if policy is None or self.reference is None or self.data is None or self.data.rows < policy.min_rows:
            return None
        scores = ScoreProfile(self.scores, self.model) if self.scores else None
        return compare_with_reference(self.reference, self.data, scores, window, policy)

    def leave_out_scores(self, fault: ModelError) -> None:
        """Compares the features alone from now on, and says why.

        Args:
            fault: Why the judged model cannot predict.
        """
        self.reference = replace(self.reference, scores=None) if self.reference else None
        self.warnings = (f"predictions are not compared with the reference, the judged model cannot predict: {fault}",)
        with_project(log, self.definition.name).warning("%s", self.warnings[0])

    def _add_judged(self, judged: Scorer, known: ScoreProfile | None, piece: pa.Table, batch_rows: int) -> None:
        drawn = piece.filter(pa.array(self.rng.random(piece.num_rows) * batch_rows < JUDGED_ROWS))
        if known is None or not drawn.num_rows:
            return
        try:
            self._add_scores(known, drawn, judged.predict(drawn))
        except ModelError as fault:
            self.leave_out_scores(fault)

    def _add_scores(self, known: ScoreProfile | None, piece: pa.Table, answers: Predictions) -> None:
        if known is None:
            return
        timestamp = self.definition.timestamp
        outputs = output_columns(answers).append_column(timestamp, piece[timestamp])
        self.scores = extend_profile(self.scores, outputs, known.profile.current_binning(), timestamp)


def open_skew_meter(definition: Project, champion: Champion, at: datetime, schema: pa.Schema) -> SkewMeter:
    """Loads what a batch is compared with.

    Args:
        definition: The project.
        champion: The version that serves.
        at: The time of scoring, UTC.
        schema: The schema of the project's table.

    Returns:
        An empty meter. Without the files of the judged model it compares the features alone, and says so.

    Raises:
        ModelError: If the profile is damaged.
    """
    reference = load_reference(champion) if definition.monitoring.drift else None
    meter = SkewMeter(definition, reference, identify_compared_model(champion), None, np.random.default_rng(0))
    meter.trained_schema = read_training_schema(definition, champion.model.trained_on)
    if reference and reference.scores and champion.judged:
        context = PredictionContext(champion.version, champion.generation, "champion", "batch", at)
        try:
            meter.judged = load_scorer(definition, champion.judged, context, schema)
        except ModelError as fault:
            meter.leave_out_scores(fault)
    return meter
