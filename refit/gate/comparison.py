"""Offline comparison: challenger, champion and a trivial model, scored and measured on the same holdout."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from refit.data.split import fine_blocks, time_blocks
from refit.errors import ModelError
from refit.gate import calibration, slices
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.evidence import UNMEASURED, Eligibility, Evidence, PredictionSanity, SandboxRun
from refit.gate.fairness import measure_fairness
from refit.gate.leakage import measure_inputs
from refit.gate.sanity import measure_predictions
from refit.gate.slices import cut_slices
from refit.modelling.predictions import Predictions, predict_once, prediction_distance
from refit.modelling.preparation import baseline_model, features_seen_by, select_features
from refit.modelling.row_contributions import contribute_rows
from refit.modelling.scoring import primary_metric, score
from refit.project import Project
from refit.records.references import SnapshotRef


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted model that takes part in a comparison: the challenger or the champion."""

    name: str
    """How error messages name it."""
    model: BaseEstimator
    trained_on: SnapshotRef


@dataclass(frozen=True, slots=True)
class HoldoutData:
    """The rows that models are compared on, and a sample of those the challenger was trained on."""

    holdout: SnapshotRef
    rows: pd.DataFrame
    """The holdout's rows, sorted by event time, with all columns."""
    target: pd.Series[Any]
    """The target of all rows that the challenger was trained on, from which the trivial model is fitted."""
    training: pd.DataFrame
    """A sample of a few thousand of those rows, with all columns."""
    rehearsal: SandboxRun | None = None
    """How the challenger serves in a fresh process; `None` if that was not tested."""
    champion_rows: pd.DataFrame | None = None
    """The same rows in the types that the champion was trained on; `None` if these have not changed."""


def compare_on_holdout(
    definition: Project, challenger: Candidate, champion: Candidate | None, data: HoldoutData
) -> Comparison:
    """Scores challenger, champion and a trivial model on the holdout, and measures what the gate's rules need.

    Args:
        definition: The project.
        challenger: The model to judge.
        champion: The model that serves, or its stand-in; `None` without a champion.
        data: The rows.

    Returns:
        The scores of all models on the same rows and blocks of time, and the evidence.

    Raises:
        ModelError: If a model cannot predict these rows.
    """
    metric = primary_metric(definition, pd.concat([data.target, data.rows[definition.target]]).unique())
    rows = data.rows
    predicted, trivial = predict_holdout(definition, challenger, rows), _predict_baseline(definition, data)
    former = rows if data.champion_rows is None else data.champion_rows
    rival = predict_holdout(definition, champion, former) if champion else None
    sanity = _check_sanity(definition, challenger, predicted, data)
    return Comparison(
        metric=metric,
        holdout=data.holdout,
        challenger=_no_scores(definition, data)
        if sanity.invalid
        else evaluate_predictions(definition, metric, challenger.name, predicted, rows),
        baseline=evaluate_predictions(definition, metric, "the trivial model", trivial, rows),
        champion=evaluate_predictions(definition, metric, champion.name, rival, rows)
        if champion and rival is not None
        else None,
        evidence=replace(
            UNMEASURED if sanity.invalid else _measure(definition, metric, predicted, rival, trivial, data),
            standing=_eligibility(
                challenger, champion, data, same_answers=rival is not None and not prediction_distance(predicted, rival)
            ),
            answers=sanity,
            inputs=measure_inputs(definition, challenger.model, data.training, rows, metric),
            rehearsal=data.rehearsal,
        ),
    )


def predict_holdout(definition: Project, candidate: Candidate, rows: pd.DataFrame) -> Predictions:
    """Predicts rows with a model, from the columns that it was fitted on.

    Args:
        definition: The project.
        candidate: The model.
        rows: The rows, with all columns.

    Returns:
        The predictions, computed when they are first needed.

    Raises:
        ModelError: If a column that it was fitted on is missing.
    """
    columns = features_seen_by(candidate.model, definition.features_of(rows.columns))
    try:
        return predict_once(candidate.model, select_features(rows, columns))
    except ModelError as fault:
        raise judging_error(definition, candidate.name, fault) from fault


def evaluate_predictions(
    definition: Project, metric: str, name: str, predictions: Predictions, rows: pd.DataFrame
) -> Evaluation:
    """Scores predictions over all rows and in blocks of time.

    Args:
        definition: The project.
        metric: The scorer's name.
        name: How error messages name the model.
        predictions: The model's predictions of the rows.
        rows: The rows, sorted by event time.

    Returns:
        The scores.

    Raises:
        ModelError: If the model cannot predict these rows, or the metric cannot be computed from its predictions.
    """
    try:
        return score_blocks(metric, predictions, rows[definition.target], rows[definition.timestamp])
    except ModelError as fault:
        raise judging_error(definition, name, fault) from fault


def score_blocks(
    metric: str, predictions: Predictions, truth: pd.Series[Any], times: pd.Series[pd.Timestamp]
) -> Evaluation:
    """Scores predictions over all rows and in blocks of time, with the rows' contributions in finer blocks.

    Args:
        metric: The scorer's name.
        predictions: The model's predictions of the rows.
        truth: The labels, none missing.
        times: The event times of the rows, sorted.

    Returns:
        The scores; without contributions, and with the reason, where the metric cannot be estimated.

    Raises:
        ModelError: If the model cannot predict these rows, or the metric cannot be computed from its predictions.
    """
    fine = fine_blocks(times)
    found = contribute_rows(metric, predictions, truth, fine)
    return Evaluation(
        value=score(metric, predictions, truth),
        blocks=tuple(score(metric, predictions, truth, block) for block in time_blocks(times)),
        contributions=None if isinstance(found, str) else found.sum_blocks(fine),
        undefined=found if isinstance(found, str) else None,
    )


def judging_error(definition: Project, name: str, fault: ModelError) -> ModelError:
    """Adds the model's name to an error.

    Args:
        definition: The project.
        name: How error messages name the model.
        fault: The error.

    Returns:
        An error of the same class, to be raised.
    """
    return type(fault)(f"{name} of {definition.name} cannot be judged: {fault}")


def _measure(
    definition: Project,
    metric: str,
    predicted: Predictions,
    rival: Predictions | None,
    trivial: Predictions,
    data: HoldoutData,
) -> Evidence:
    """Measures what needs a valid prediction of every row."""
    rows, truth, times = data.rows, data.rows[definition.target], data.rows[definition.timestamp]
    other = trivial if rival is None else rival
    fairness = definition.gate.fairness
    return Evidence(
        calibration=calibration.measure_calibration(predicted, rival, truth, time_blocks(times)),
        slices=slices.measure_slices(cut_slices(definition, rows), metric, (predicted, other), truth, times),
        fairness=measure_fairness(fairness, predicted, truth, rows) if fairness else None,
    )


def _eligibility(
    challenger: Candidate, champion: Candidate | None, data: HoldoutData, *, same_answers: bool
) -> Eligibility:
    return Eligibility(
        trained_until=challenger.trained_on.window.end,
        champion_until=champion.trained_on.window.end if champion else None,
        holdout_from=data.holdout.window.start,
        same_answers=same_answers,
    )


def _check_sanity(
    definition: Project, challenger: Candidate, predicted: Predictions, data: HoldoutData
) -> PredictionSanity:
    try:
        return measure_predictions(definition, predicted, data.target)
    except ModelError as fault:
        raise judging_error(definition, challenger.name, fault) from fault


def _no_scores(definition: Project, data: HoldoutData) -> Evaluation:
    """Returns the evaluation of a model that lacks a valid prediction for some row: no score."""
    return Evaluation(math.nan, (math.nan,) * len(time_blocks(data.rows[definition.timestamp])))


def _predict_baseline(definition: Project, data: HoldoutData) -> Predictions:
    model = baseline_model(definition.kind).fit(np.zeros((len(data.target), 1)), data.target)
    return predict_once(model, data.rows)
