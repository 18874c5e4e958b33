"""Drift and performance of a champion on rows of the past; functions that a worker process can run.

Scores of models on rows of the past; functions that a worker process can run.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.data.split import time_blocks
from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import Reference, compare_with_reference, make_reference
from refit.drift.profile import build_profile
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

ANCHOR_ROWS = 50_000
"""So many rows of a reference fix its cells."""


def build_reference(definition: Project, rows: pd.DataFrame) -> Reference:
    """Profiles what a model was trained on; its predictions are left out, since a fixed rule names columns.

    Args:
        definition: The project.
        rows: The training rows, sorted by event time.

    Returns:
        The reference.
    """
    features = definition.features_of(rows.columns)
    table = _table(definition, rows)
    some = table.take(np.linspace(0, len(rows) - 1, min(len(rows), ANCHOR_ROWS)).astype(int))
    times = some.column(definition.timestamp).cast(pa.int64()).to_pylist()
    anchors = make_binning(some, features, times, count_blocks(len(rows)))
    return make_reference(build_profile([table], anchors, definition.timestamp), None, definition.training.seed)


def measure_drift(
    definition: Project, reference: Reference, rows: pd.DataFrame, window: Window, policy: DriftPolicy
) -> Drift:
    """Compares a window with what a model was trained on.

    Args:
        definition: The project.
        reference: The model's.
        rows: The window's.
        window: The window.
        policy: The limits.

    Returns:
        What was found.
    """
    cells = reference.data.anchors.unblocked()
    return compare_with_reference(
        reference, build_profile([_table(definition, rows)], cells, definition.timestamp), None, window, policy
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
    """Scores a champion on the newest mature window against the best that any was promoted with.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: The champion's.
        rows: Mature rows it has not seen, sorted by event time.
        length: Of one window.
        policy: The limits.
        former: What each champion so far scored on the holdout it was promoted for.

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


def _table(definition: Project, rows: pd.DataFrame) -> pa.Table:
    columns = [definition.timestamp, *definition.features_of(rows.columns)]
    table = pa.Table.from_pandas(rows[columns], preserve_index=False)
    place = table.schema.get_field_index(definition.timestamp)
    return table.set_column(place, definition.timestamp, table.column(place).cast(pa.timestamp("us", "UTC")))


def evaluate_model(definition: Project, metric: str, model: BaseEstimator, rows: pd.DataFrame) -> Evaluation:
    """Scores a model on rows, whole and in blocks of time.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: Fitted.
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
    """Gives what a model loses in each of several consecutive windows.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: Fitted.
        rows: The labelled rows of all of them, sorted by event time.
        counts: How many of the rows are of each.

    Returns:
        The losses; NaN where a window's rows allow no score.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    predictions = predict_once(model, select_features(rows, definition.features_of(rows.columns)))
    edges = np.cumsum([0, *counts]).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    return [loss(metric, score(metric, predictions, rows[definition.target], part)) for part in parts]


def evaluate_baseline(definition: Project, metric: str, train: pd.DataFrame, rows: pd.DataFrame) -> Evaluation:
    """Scores a trivial model on rows.

    Args:
        definition: The project.
        metric: The scorer's name.
        train: What the model knows the outcomes of.
        rows: Labelled rows, sorted by event time.

    Returns:
        The scores.
    """
    model = baseline_model(definition.kind).fit(np.zeros((len(train), 1)), train[definition.target])
    return _evaluation(definition, metric, predict_once(model, rows), rows)


def _evaluation(definition: Project, metric: str, predictions: Predictions, rows: pd.DataFrame) -> Evaluation:
    truth, parts = rows[definition.target], time_blocks(rows[definition.timestamp])
    in_blocks = tuple(score(metric, predictions, truth, part) for part in parts)
    return Evaluation(score(metric, predictions, truth), in_blocks)
