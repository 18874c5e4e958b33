"""Scores of models on rows of the past; functions that a worker process can run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from refit.data.blocks import blocks
from refit.gate.evaluations import Evaluation
from refit.modelling.losses import loss
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import pick, trivial
from refit.modelling.scoring import score
from refit.project import Project


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
    predictions = predict_once(model, pick(rows, definition.features_of(rows.columns)))
    return _evaluation(definition, metric, predictions, rows)


def losses_of(
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
    predictions = predict_once(model, pick(rows, definition.features_of(rows.columns)))
    edges = np.cumsum([0, *counts]).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    return [loss(metric, score(metric, predictions, rows[definition.target], part)) for part in parts]


def evaluate_trivial(definition: Project, metric: str, train: pd.DataFrame, rows: pd.DataFrame) -> Evaluation:
    """Scores a trivial model on rows.

    Args:
        definition: The project.
        metric: The scorer's name.
        train: What the model knows the outcomes of.
        rows: Labelled rows, sorted by event time.

    Returns:
        The scores.
    """
    model = trivial(definition.kind).fit(np.zeros((len(train), 1)), train[definition.target])
    return _evaluation(definition, metric, predict_once(model, rows), rows)


def _evaluation(definition: Project, metric: str, predictions: Predictions, rows: pd.DataFrame) -> Evaluation:
    truth, parts = rows[definition.target], blocks(rows[definition.timestamp])
    in_blocks = tuple(score(metric, predictions, truth, part) for part in parts)
    return Evaluation(score(metric, predictions, truth), in_blocks)
