"""Rules that need no statistical test: eligibility of the challenger, size of the holdout, floor, valid predictions."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from refit.gate.evaluations import Comparison
from refit.gate.evidence import Eligibility, PredictionSanity
from refit.modelling.predictions import Predictions
from refit.policies.gate import GatePolicy
from refit.project import Project
from refit.records.verdicts import Reason, finite_or_none, format_score
from refit.windows import format_time

HOUR = timedelta(hours=1)
NO_CHAMPION = "there is no champion to compare with"
ROUNDING = 1e-9
"""How far a probability may lie outside 0 to 1 because of rounding."""


def check_unseen_rows(standing: Eligibility) -> Reason:
    """Requires that challenger and champion were trained on rows before the holdout.

    Args:
        standing: The newest training rows of both, and the start of the holdout.

    Returns:
        The reason; its value is the hours between the newest training row and the holdout.
    """
    newest = max(standing.trained_until, standing.champion_until or standing.trained_until)
    passed = newest <= standing.holdout_from
    sentence = (
        f"trained on rows until {format_time(standing.trained_until)}, judged on rows from "
        f"{format_time(standing.holdout_from)} on{'' if passed else ', some of which were used for training'}"
    )
    return Reason("unseen_rows", passed, (standing.holdout_from - newest) / HOUR, 0.0, sentence)


def check_newer_rows(standing: Eligibility) -> Reason:
    """Requires a challenger whose newest training row is not older than the champion's.

    Args:
        standing: The newest training rows of both.

    Returns:
        The reason; its value is by how many hours the challenger's newest row is newer.
    """
    if standing.champion_until is None:
        return Reason("newer_rows", passed=True, value=None, limit=0.0, sentence=NO_CHAMPION)
    value = (standing.trained_until - standing.champion_until) / HOUR
    known = format_time(standing.trained_until), format_time(standing.champion_until)
    passed = value >= 0
    compared = "not older" if passed else "older"
    sentence = f"its newest training row ({known[0]}) is {compared} than the champion's ({known[1]})"
    return Reason("newer_rows", passed, value, 0.0, sentence)


def check_not_the_champion(standing: Eligibility) -> Reason:
    """Requires at least one prediction that differs from the champion's.

    Args:
        standing: Whether all predictions are identical.

    Returns:
        The reason.
    """
    if standing.champion_until is None:
        sentence = NO_CHAMPION
    elif standing.same_answers:
        sentence = "its predictions are identical to the champion's on every holdout row"
    else:
        sentence = "some of its predictions differ from the champion's"
    return Reason("not_the_champion", not standing.same_answers, None, None, sentence)


def check_enough_rows(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Requires a holdout with enough rows.

    Args:
        comparison: For its number of rows.
        policy: For the lowest number allowed.

    Returns:
        The reason.
    """
    rows, limit = comparison.holdout.rows, policy.min_rows
    sentence = f"judged on {rows:,} unseen rows, at least {limit:,} are required"
    return Reason("enough_rows", rows >= limit, float(rows), float(limit), sentence)


def check_floor(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Requires a finite score, at or above the floor if one is set.

    Args:
        comparison: For the challenger's score.
        policy: For the floor.

    Returns:
        The reason.
    """
    value, limit = comparison.challenger.value, policy.floor
    if comparison.challenger.undefined:
        return Reason("floor", passed=False, value=None, limit=limit, sentence=comparison.challenger.undefined)
    measured = f"{comparison.metric} is {format_score(value)}"
    if limit is None or not math.isfinite(value):
        # Paired tests leave out a block with an infinite error, so it has to fail here.
        sentence = f"{measured}, and no floor is set" if limit is None else measured
        return Reason("floor", math.isfinite(value), finite_or_none(value), limit, sentence)
    passed = value >= limit
    sentence = f"{measured}, {'at or above' if passed else 'below'} the floor of {format_score(limit)}"
    return Reason("floor", passed, finite_or_none(value), limit, sentence)


def measure_predictions(definition: Project, predictions: Predictions, target: pd.Series[Any]) -> PredictionSanity:
    """Counts invalid, out-of-range and distinct predictions.

    Args:
        definition: The project, for its kind and range.
        predictions: The challenger's predictions of the holdout; probabilities where it gives them.
        target: The target of the rows it was trained on, for the range of a regression.

    Returns:
        The counts of rows.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    predicted = predictions.compute_raw(predictions.finest_method)
    rows = predicted.reshape(len(predicted), -1)
    low, high = _allowed_range(definition, predictions, target)
    if rows.dtype.kind not in "fiu":
        return PredictionSanity(len(rows), 0, 0, len(pd.unique(rows[:, 0])), low, high)
    whole = np.isfinite(rows).all(axis=1)
    beyond = (rows < _bound(low, -np.inf) - ROUNDING) | (rows > _bound(high, np.inf) + ROUNDING)
    outside = whole & beyond.any(axis=1)
    distinct = len(np.unique(rows[whole], axis=0))
    return PredictionSanity(len(rows), int((~whole).sum()), int(outside.sum()), distinct, low, high)


def check_predictions(found: PredictionSanity) -> Reason:
    """Requires a finite prediction of every row, within the range, and at least two distinct ones.

    Args:
        found: The counts.

    Returns:
        The reason for `answers`; its value is the number of rows without a valid prediction.
    """
    wrong = found.invalid + found.outside
    constant = found.distinct <= 1
    complaints = [
        *([f"{found.invalid:,} are NaN or infinite"] if found.invalid else []),
        *([f"{found.outside:,} are outside {found.low:.4g} to {found.high:.4g}"] if found.outside else []),
        *(["all are the same"] if constant else []),
    ]
    fine = f"all {found.rows:,} predictions are valid, with {found.distinct:,} distinct values"
    sentence = f"of {found.rows:,} predictions, {', '.join(complaints)}" if complaints else fine
    return Reason("answers", not complaints, float(wrong), 0.0, sentence)


def _bound(end: float | None, none: float) -> float:
    return none if end is None else end


def _allowed_range(
    definition: Project, predictions: Predictions, target: pd.Series[Any]
) -> tuple[float | None, float | None]:
    if definition.kind == "classification":
        return (0.0, 1.0) if hasattr(predictions, "predict_proba") else (None, None)
    if definition.gate.prediction_range is not None:
        return definition.gate.prediction_range
    low, high = float(target.min()), float(target.max())
    return low - (high - low), high + (high - low)
