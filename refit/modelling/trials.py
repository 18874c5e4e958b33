"""Trial fits: small models of the project's own estimator, scored in blocks of time on other rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from refit.data.split import time_blocks
from refit.errors import ModelError
from refit.modelling.predictions import ESTIMATOR_ERRORS, predict_once
from refit.modelling.preparation import fill_empty_columns, fit_seeded, select_features
from refit.modelling.scoring import score
from refit.project import Project

Scores = npt.NDArray[np.float64]
"""One score per block; NaN if undefined on a block."""


def sample_rows(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Draws a random sample of rows, in their order.

    Args:
        rows: Sorted rows.
        most: The most rows of the sample.
        seed: The seed; the same rows and seed give the same sample.

    Returns:
        The sample; all rows if there are few enough.
    """
    if len(rows) <= most:
        return rows
    drawn: Any = np.random.default_rng(seed).permutation(len(rows))[:most]
    return rows.iloc[np.sort(drawn)]


def sample_paired(rows: pd.DataFrame, most: int, index: pd.Index[int], seed: int) -> pd.DataFrame:
    """Draws random samples that share as many rows as possible if taken from parts of the same rows.

    Models fitted on such samples differ by the content of the parts, and less by the luck of the draw (common random
    numbers).

    Args:
        rows: A part of the rows.
        most: The most rows of the sample.
        index: The index of all rows: each label has a rank, and the lowest ranks of a part are drawn.
        seed: The seed.

    Returns:
        The sample in its order; all rows if there are few enough.
    """
    if len(rows) <= most:
        return rows
    ranks: npt.NDArray[np.int64] = np.random.default_rng(seed).permutation(len(index))
    lowest = np.argpartition(ranks[index.get_indexer(rows.index)], most)[:most]
    return rows.iloc[np.sort(lowest)]


def fit_estimator(definition: Project, rows: pd.DataFrame) -> BaseEstimator:
    """Fits the project's estimator with its seed.

    Args:
        definition: The project.
        rows: Labelled rows.

    Returns:
        The fitted estimator.

    Raises:
        ModelError: If a feature is missing.
    """
    features = definition.features_of(rows.columns)
    return fit_seeded(
        definition.build(), fill_empty_columns(rows, features), rows[definition.target], definition.training.seed
    )


def score_trial(definition: Project, metric: str, rows: pd.DataFrame, judge: pd.DataFrame) -> Scores:
    """Fits a model on some rows and scores it on blocks of others.

    Args:
        definition: The project.
        metric: The scorer's name.
        rows: Labelled rows to fit on.
        judge: Labelled rows to score, sorted by event time.

    Returns:
        One score per block of `refit.data.split.time_blocks`; all NaN if no model could be fitted. The retrain on the
        chosen rows then reports the error.
    """
    features, parts = definition.features_of(judge.columns), time_blocks(judge[definition.timestamp])
    if not len(rows) or (definition.kind == "classification" and rows[definition.target].nunique() == 1):
        return np.full(len(parts), math.nan)
    try:
        predictions = predict_once(fit_estimator(definition, rows), select_features(judge, features))
        return np.array([score(metric, predictions, judge[definition.target], part) for part in parts])
    except (ModelError, *ESTIMATOR_ERRORS):
        return np.full(len(parts), math.nan)
