"""Challenger, champion and the trivial model on the same rows: what the gate's verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from refit.blocks import blocks
from refit.errors import ModelError
from refit.evaluations import Comparison, Evaluation
from refit.predictions import Predictions, predict_once
from refit.preparation import pick, trivial
from refit.project import Project
from refit.scoring import metric_of, score
from refit.snapshots import SnapshotRef


@dataclass(frozen=True, slots=True)
class Contender:
    """A fitted model that is to be judged, or that one is judged against."""

    name: str
    """What messages call it."""
    model: BaseEstimator
    trained_on: SnapshotRef


@dataclass(frozen=True, slots=True)
class Ground:
    """The rows that models are compared on."""

    holdout: SnapshotRef
    rows: pd.DataFrame
    """The rows of the holdout in the order of their event times, with all columns."""
    target: pd.Series[Any]
    """The target of all rows that the challenger was trained on: what a trivial model learns from."""


def compare(definition: Project, challenger: Contender, champion: Contender | None, ground: Ground) -> Comparison:
    """Scores the models and a trivial baseline on the holdout, whole and in blocks of time.

    Args:
        definition: The project.
        challenger: The model that wants to serve.
        champion: The one that serves, or what stands in for it; `None` without one.
        ground: The rows.

    Returns:
        The scores, all on the same rows and in the same blocks.

    Raises:
        ModelError: If a model cannot predict these rows.
    """
    metric = metric_of(definition, pd.concat([ground.target, ground.rows[definition.target]]).unique())
    answers = answers_of(definition, challenger, ground.rows)
    against = answers_of(definition, champion, ground.rows) if champion else None
    return Comparison(
        metric=metric,
        holdout=ground.holdout,
        challenger=evaluation(definition, metric, challenger.name, answers, ground.rows),
        baseline=evaluation(definition, metric, "the trivial model", _baseline(definition, ground), ground.rows),
        champion=evaluation(definition, metric, champion.name, against, ground.rows) if champion and against else None,
    )


def answers_of(definition: Project, contender: Contender, rows: pd.DataFrame) -> Predictions:
    """Asks a model for its answers to rows, by the columns that it was fitted on.

    Args:
        definition: The project.
        contender: The model.
        rows: The rows, with all columns.

    Returns:
        Its answers, made when the first score needs them.

    Raises:
        ModelError: If a column that it was fitted on is gone.
    """
    # What it was fitted on need not be what the project's features are by now.
    columns = list(getattr(contender.model, "feature_names_in_", definition.features_of(rows.columns)))
    try:
        return predict_once(contender.model, pick(rows, columns))
    except ModelError as fault:
        raise _cannot_be_judged(definition, contender.name, fault) from fault


def evaluation(definition: Project, metric: str, name: str, answers: Predictions, rows: pd.DataFrame) -> Evaluation:
    """Scores answers, over all rows and in blocks of time.

    Args:
        definition: The project.
        metric: The scorer's name.
        name: What messages call the model.
        answers: What it says of the rows.
        rows: The rows, in the order of their event times.

    Returns:
        The scores.

    Raises:
        ModelError: If the model cannot predict these rows, or the metric cannot be computed from its answers.
    """
    truth = rows[definition.target]
    try:
        return Evaluation(
            value=score(metric, answers, truth),
            blocks=tuple(score(metric, answers, truth, block) for block in blocks(rows[definition.timestamp])),
        )
    except ModelError as fault:
        raise _cannot_be_judged(definition, name, fault) from fault


def _cannot_be_judged(definition: Project, name: str, fault: ModelError) -> ModelError:
    return type(fault)(f"{name} of {definition.name} cannot be judged: {fault}")


def _baseline(definition: Project, ground: Ground) -> Predictions:
    model = trivial(definition.kind).fit(np.zeros((len(ground.target), 1)), ground.target)
    return predict_once(model, ground.rows)
