"""Rules on what a challenger may know and be: it has not seen the holdout, and it is neither the champion nor older.

Absolute rules: enough rows, and a score that may serve whoever the champion is.

Whether a challenger's answers are sane as numbers: all there, within their range, and not all the same.
"""

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

HOUR = timedelta(hours=1)


def check_unseen_rows(standing: Eligibility) -> Reason:
    """Asks for a challenger, and a champion, that were trained before the holdout begins.

    Args:
        standing: Until when both were trained, and where the holdout begins.

    Returns:
        The reason; its value is the hours between the newest training row and the holdout.
    """
    newest = max(standing.trained_until, standing.champion_until or standing.trained_until)
    passed = newest <= standing.holdout_from
    sentence = (
        f"trained on rows until {standing.trained_until:%Y-%m-%d %H:%M}, judged on rows from "
        f"{standing.holdout_from:%Y-%m-%d %H:%M} on{'' if passed else ', some of which were seen in training'}"
    )
    return Reason("unseen_rows", passed, (standing.holdout_from - newest) / HOUR, 0.0, sentence)


def check_newer_rows(standing: Eligibility) -> Reason:
    """Asks for a challenger whose newest row is no older than the champion's: an old model need not come back by force.

    Args:
        standing: Until when both were trained.

    Returns:
        The reason; its value is how many hours the challenger's newest row is newer.
    """
    if standing.champion_until is None:
        return Reason(
            "newer_rows", passed=True, value=None, limit=0.0, sentence="there is no champion to be newer than"
        )
    value = (standing.trained_until - standing.champion_until) / HOUR
    known = f"{standing.trained_until:%Y-%m-%d %H:%M}", f"{standing.champion_until:%Y-%m-%d %H:%M}"
    passed = value >= 0
    compared = "no older than" if passed else "stale: older than"
    sentence = f"its newest training row, of {known[0]}, is {compared} the champion's, of {known[1]}"
    return Reason("newer_rows", passed, value, 0.0, sentence)


def check_not_the_champion(standing: Eligibility) -> Reason:
    """Asks for a challenger that differs from the champion in at least one answer.

    Args:
        standing: Whether they do.

    Returns:
        The reason.
    """
    if standing.champion_until is None:
        sentence = "there is no champion that it could be"
    elif standing.same_answers:
        sentence = "it answers exactly as the champion does on all rows: it is the champion, or as good as that"
    else:
        sentence = "it is another model than the champion: some answers differ"
    return Reason("not_the_champion", not standing.same_answers, None, None, sentence)


def check_enough_rows(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Asks for a holdout large enough to conclude anything from.

    Args:
        comparison: For its number of rows.
        policy: For the fewest.

    Returns:
        The reason.
    """
    rows, limit = comparison.holdout.rows, policy.min_rows
    sentence = f"judged on {rows:,} unseen rows, at least {limit:,} are asked for"
    return Reason("enough_rows", rows >= limit, float(rows), float(limit), sentence)


def check_floor(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Asks for a score that is a number, and at or above the floor where one is set.

    Args:
        comparison: For the challenger's score.
        policy: For the floor.

    Returns:
        The reason.
    """
    value, limit = comparison.challenger.value, policy.floor
    measured = f"{comparison.metric} is {format_score(value)}"
    if limit is None or not math.isfinite(value):
        # A block with an infinite error is left out of the paired tests, so it has to fail here.
        sentence = f"{measured}, and no floor is set" if limit is None else measured
        return Reason("floor", math.isfinite(value), finite_or_none(value), limit, sentence)
    passed = value >= limit
    sentence = f"{measured}, {'at or above' if passed else 'not at or above'} the floor of {format_score(limit)}"
    return Reason("floor", passed, finite_or_none(value), limit, sentence)


ROUNDING = 1e-9
"""How far a probability may lie outside 0 to 1 by the arithmetic."""


def measure_predictions(definition: Project, predictions: Predictions, target: pd.Series[Any]) -> PredictionSanity:
    """Counts the answers that are missing or out of range, and the different ones.

    Args:
        definition: The project, for its kind and range.
        predictions: What the challenger says of the holdout; probabilities count where it gives them.
        target: The target of the rows it was trained on, for the range of a regression.

    Returns:
        The counts, in rows.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    said = predictions.compute_raw(predictions.finest_method)
    rows = said.reshape(len(said), -1)
    low, high = _range(definition, predictions, target)
    if rows.dtype.kind not in "fiu":
        return PredictionSanity(len(rows), 0, 0, len(pd.unique(rows[:, 0])), low, high)
    whole = np.isfinite(rows).all(axis=1)
    beyond = (rows < _or(low, -np.inf) - ROUNDING) | (rows > _or(high, np.inf) + ROUNDING)
    outside = whole & beyond.any(axis=1)
    distinct = len(np.unique(rows[whole], axis=0))
    return PredictionSanity(len(rows), int((~whole).sum()), int(outside.sum()), distinct, low, high)


def check_predictions(found: PredictionSanity) -> Reason:
    """Asks for answers to all rows, within the range, of which at least two differ.

    Args:
        found: The counts.

    Returns:
        The reason; its value is the number of rows without a usable answer.
    """
    wrong = found.invalid + found.outside
    constant = found.distinct <= 1
    complaints = [
        *([f"{found.invalid:,} are NaN or infinite"] if found.invalid else []),
        *([f"{found.outside:,} lie outside {found.low:.4g} to {found.high:.4g}"] if found.outside else []),
        *(["all are the same"] if constant else []),
    ]
    fine = f"all are numbers within their range, {found.distinct:,} different ones"
    sentence = f"of {found.rows:,} answers, {', '.join(complaints) or fine}"
    return Reason("answers", not complaints, float(wrong), 0.0, sentence)


def _or(end: float | None, none: float) -> float:
    return none if end is None else end


def _range(definition: Project, predictions: Predictions, target: pd.Series[Any]) -> tuple[float | None, float | None]:
    if definition.kind == "classification":
        return (0.0, 1.0) if hasattr(predictions, "predict_proba") else (None, None)
    if definition.gate.prediction_range is not None:
        return definition.gate.prediction_range
    low, high = float(target.min()), float(target.max())
    return low - (high - low), high + (high - low)
