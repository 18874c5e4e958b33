"""Functions that a worker process can run: drift, performance and scores of models on rows of the past."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import Reference, compare_with_reference, make_reference
from refit.drift.profile import build_profile
from refit.gate.comparison import score_blocks
from refit.gate.evaluations import Evaluation
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import baseline_model, select_features
from refit.modelling.scoring import loss, score
from refit.monitoring.evidence import Performance
from refit.monitoring.label_maturity import find_mature_window
from refit.monitoring.performance import best_baseline, measure_score
from refit.policies.monitoring import DriftPolicy, PerformancePolicy
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.windows import Window

BINNING_ROWS = 50_000
"""The number of rows of a reference that the bins are chosen from."""


def build_reference(definition: Project, rows: pd.DataFrame) -> Reference:
    """Profiles the training rows of a model, without its predictions, since fixed rules name columns.

    Args:
        definition: The project.
        rows: The training rows, sorted by event time.

    Returns:
        The reference.
    """
    features = definition.features_of(rows.columns)
    table = _table(definition, rows)
    some = table.take(np.linspace(0, len(rows) - 1, min(len(rows), BINNING_ROWS)).astype(int))
    times = some.column(definition.timestamp).cast(pa.int64()).to_pylist()
    binning = make_binning(some, features, times, count_blocks(len(rows)))
    return make_reference(build_profile([table], binning, definition.timestamp), None, definition.training.seed)


def measure_drift(
    definition: Project, reference: Reference, rows: pd.DataFrame, window: Window, policy: DriftPolicy
) -> Drift:
    """Compares the rows of a window with a model's reference.

    Args:
        definition: The project.
        reference: The model's reference.
        rows: The rows of the window.
        window: The window.
        policy: The limits.

    Returns:
        The drift.
    """
    bins = reference.data.current_binning()
    return compare_with_reference(
        reference, build_profile([_table(definition, rows)], bins, definition.timestamp), None, window, policy
    )


def measure_performance(
    definition: Project,
    metric: str,
    model: BaseEstimator,
    rows: pd.DataFrame,
    length: timedelta,
    policy: PerformancePolicy,
    former: tuple[Evaluation, ...],
) -> Performance | None:
    """Scores a champion on the newest mature window against the baseline.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: The champion's model.
        rows: Mature rows that it was not trained on, sorted by event time.
        length: The length of a window.
        policy: The limits.
        former: The scores that each champion so far was promoted with.

    Returns:
        The score and the test; `None` without a mature window.
    """
    times = rows[definition.timestamp].dt.as_unit("us").astype("int64").to_numpy()
    mature = find_mature_window(times, np.ones(len(rows), bool), length, policy)
    if mature is None:
        return None
    inside = rows[mature.window.holds(rows[definition.timestamp])].reset_index(drop=True)
    predictions = predict_once(model, select_features(inside, definition.features_of(inside.columns)))
    against = best_baseline(metric, ((metric, evaluation) for evaluation in former))
    truth, moments = inside[definition.target], inside[definition.timestamp]
    changed = definition.model_copy(
        update={"monitoring": definition.monitoring.model_copy(update={"performance": policy})}
    )
    return measure_score(changed, mature, predictions, truth, moments, against)


def evaluate_model(definition: Project, metric: str, model: BaseEstimator, rows: pd.DataFrame) -> Evaluation:
    """Scores a model over all rows and in blocks of time.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: The fitted model.
        rows: Labelled rows, sorted by event time.

    Returns:
        The scores.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    predictions = predict_once(model, select_features(rows, definition.features_of(rows.columns)))
    return _evaluation(definition, metric, predictions, rows)


def window_losses(
    definition: Project, metric: str, model: BaseEstimator, rows: pd.DataFrame, counts: list[int]
) -> list[float]:
    """Computes the losses of a model in consecutive windows.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: The fitted model.
        rows: The labelled rows of all windows, sorted by event time.
        counts: The number of rows of each window.

    Returns:
        The loss in each window, in the metric's unit; NaN if a window allows no score.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    predictions = predict_once(model, select_features(rows, definition.features_of(rows.columns)))
    edges = np.cumsum([0, *counts]).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    return [loss(metric, score(metric, predictions, rows[definition.target], part)) for part in parts]


def evaluate_baseline(definition: Project, metric: str, train: pd.DataFrame, rows: pd.DataFrame) -> Evaluation:
    """Scores a trivial model over all rows and in blocks of time.

    Args:
        definition: The project.
        metric: The scorer's name.
        train: The labelled rows that the model is fitted on.
        rows: Labelled rows, sorted by event time.

    Returns:
        The scores.
    """
    model = baseline_model(definition.kind).fit(np.zeros((len(train), 1)), train[definition.target])
    return _evaluation(definition, metric, predict_once(model, rows), rows)


def _table(definition: Project, rows: pd.DataFrame) -> pa.Table:
    columns = [definition.timestamp, *definition.features_of(rows.columns)]
    table = pa.Table.from_pandas(rows[columns], preserve_index=False)
    place = table.schema.get_field_index(definition.timestamp)
    return table.set_column(place, definition.timestamp, table.column(place).cast(pa.timestamp("us", "UTC")))


def _evaluation(definition: Project, metric: str, predictions: Predictions, rows: pd.DataFrame) -> Evaluation:
    return score_blocks(metric, predictions, rows[definition.target], rows[definition.timestamp])
