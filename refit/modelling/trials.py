"""Trial fits: small models of the project's own estimator, scored in blocks of time on other rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from refit.data.split import time_blocks
from refit.errors import ModelError
from refit.modelling.paired_difference import block_means
from refit.modelling.predictions import ESTIMATOR_ERRORS, predict_once
from refit.modelling.preparation import fill_empty_columns, fit_seeded, select_features
from refit.modelling.row_contributions import contribute_rows
from refit.project import Project
from refit.records.contributions import Contributions

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
        The mean contribution of the rows to the score, one per block of `refit.data.split.time_blocks`; all NaN if no
        model could be fitted or the metric is undefined. The retrain on the chosen rows then reports the error.
    """
    parts = time_blocks(judge[definition.timestamp])
    found = contribute_trial(definition, metric, rows, judge, parts)
    if isinstance(found, str):
        return np.full(len(parts), math.nan)
    return block_means(found)


def contribute_trial(
    definition: Project, metric: str, rows: pd.DataFrame, judge: pd.DataFrame, parts: Sequence[slice]
) -> Contributions | str:
    """Fits a model on some rows and sums the contributions of others to its score.

    Args:
        definition: The project.
        metric: The scorer's name.
        rows: Labelled rows to fit on.
        judge: Labelled rows to score, sorted by event time.
        parts: Blocks of the rows to score.

    Returns:
        The sums in each block; or why there is no score, in a clause.
    """
    target = definition.target
    if not len(rows) or (definition.kind == "classification" and rows[target].nunique() == 1):
        return "a model needs training rows of two classes" if len(rows) else "there are no rows to train on"
    features = definition.features_of(judge.columns)
    try:
        predictions = predict_once(fit_estimator(definition, rows), select_features(judge, features))
        found = contribute_rows(metric, predictions, judge[target], parts)
    except (ModelError, *ESTIMATOR_ERRORS) as fault:
        return f"a model could not be fitted or scored ({fault})"
    return found if isinstance(found, str) else found.sum_blocks(parts)
