"""Challenger, champion and the trivial model on the same rows: what the gate's verdict rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from refit.data.split import time_blocks
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
from refit.modelling.scoring import primary_metric, score
from refit.project import Project
from refit.records.references import SnapshotRef


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted model that is to be judged, or that one is judged against."""

    name: str
    """What messages call it."""
    model: BaseEstimator
    trained_on: SnapshotRef


@dataclass(frozen=True, slots=True)
class HoldoutData:
    """The rows that models are compared on."""

    holdout: SnapshotRef
    rows: pd.DataFrame
    """The rows of the holdout in the order of their event times, with all columns."""
    target: pd.Series[Any]
    """The target of all rows that the challenger was trained on: what a trivial model learns from."""
    training: pd.DataFrame
    """Some thousand of those rows, with all columns."""
    rehearsal: SandboxRun | None = None
    """How the challenger serves in a fresh process; `None` where that was not tried."""


def compare_on_holdout(
    definition: Project, challenger: Candidate, champion: Candidate | None, ground: HoldoutData
) -> Comparison:
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
    metric = primary_metric(definition, pd.concat([ground.target, ground.rows[definition.target]]).unique())
    rows = ground.rows
    said, trivially = predict_holdout(definition, challenger, rows), _trivial(definition, ground)
    rival = predict_holdout(definition, champion, rows) if champion else None
    sane = _answers(definition, challenger, said, ground)
    return Comparison(
        metric=metric,
        holdout=ground.holdout,
        challenger=_without_scores(definition, ground)
        if sane.invalid
        else evaluate_predictions(definition, metric, challenger.name, said, rows),
        baseline=evaluate_predictions(definition, metric, "the trivial model", trivially, rows),
        champion=evaluate_predictions(definition, metric, champion.name, rival, rows)
        if champion and rival is not None
        else None,
        evidence=replace(
            UNMEASURED if sane.invalid else _measured(definition, said, rival, trivially, ground),
            standing=_standing(
                challenger, champion, ground, same_answers=rival is not None and not prediction_distance(said, rival)
            ),
            answers=sane,
            inputs=measure_inputs(definition, challenger.model, ground.training, rows, metric),
            rehearsal=ground.rehearsal,
        ),
    )


def _measured(
    definition: Project, said: Predictions, rival: Predictions | None, trivially: Predictions, ground: HoldoutData
) -> Evidence:
    """Measures what takes an answer to every row."""
    rows, truth, times = ground.rows, ground.rows[definition.target], ground.rows[definition.timestamp]
    losses = slices.paired_losses(said, trivially if rival is None else rival, truth)
    fairness = definition.gate.fairness
    return Evidence(
        calibration=calibration.measure_calibration(said, rival, truth, time_blocks(times)),
        slices=slices.measure_slices(cut_slices(definition, rows), *losses, times=times),
        fairness=measure_fairness(fairness, said, truth, rows) if fairness else None,
    )


def _standing(
    challenger: Candidate, champion: Candidate | None, ground: HoldoutData, *, same_answers: bool
) -> Eligibility:
    return Eligibility(
        trained_until=challenger.trained_on.window.end,
        champion_until=champion.trained_on.window.end if champion else None,
        holdout_from=ground.holdout.window.start,
        same_answers=same_answers,
    )


def _answers(definition: Project, challenger: Candidate, said: Predictions, ground: HoldoutData) -> PredictionSanity:
    try:
        return measure_predictions(definition, said, ground.target)
    except ModelError as fault:
        raise judging_error(definition, challenger.name, fault) from fault


def _without_scores(definition: Project, ground: HoldoutData) -> Evaluation:
    """Stands for the scores of a model that does not answer to every row."""
    return Evaluation(math.nan, (math.nan,) * len(time_blocks(ground.rows[definition.timestamp])))


def predict_holdout(definition: Project, contender: Candidate, rows: pd.DataFrame) -> Predictions:
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
    columns = features_seen_by(contender.model, definition.features_of(rows.columns))
    try:
        return predict_once(contender.model, select_features(rows, columns))
    except ModelError as fault:
        raise judging_error(definition, contender.name, fault) from fault


def evaluate_predictions(
    definition: Project, metric: str, name: str, answers: Predictions, rows: pd.DataFrame
) -> Evaluation:
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
            blocks=tuple(score(metric, answers, truth, block) for block in time_blocks(rows[definition.timestamp])),
        )
    except ModelError as fault:
        raise judging_error(definition, name, fault) from fault


def judging_error(definition: Project, name: str, fault: ModelError) -> ModelError:
    """Says of a fault which model it is about.

    Args:
        definition: The project.
        name: What messages call the model.
        fault: What is wrong with it.

    Returns:
        An error of the same kind, to be raised.
    """
    return type(fault)(f"{name} of {definition.name} cannot be judged: {fault}")


def _trivial(definition: Project, ground: HoldoutData) -> Predictions:
    model = baseline_model(definition.kind).fit(np.zeros((len(ground.target), 1)), ground.target)
    return predict_once(model, ground.rows)
