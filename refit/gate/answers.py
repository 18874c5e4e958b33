"""Whether a challenger's answers are sane as numbers: all there, within their range, and not all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refit.gate.evidence import Answers
from refit.modelling.predictions import Predictions
from refit.project import Project
from refit.records.verdicts import Reason

ROUNDING = 1e-9
"""How far a probability may lie outside 0 to 1 by the arithmetic."""


def measure_answers(definition: Project, predictions: Predictions, target: pd.Series[Any]) -> Answers:
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
    said = predictions.raw(predictions.finest)
    rows = said.reshape(len(said), -1)
    low, high = _range(definition, predictions, target)
    if rows.dtype.kind not in "fiu":
        return Answers(len(rows), 0, 0, len(pd.unique(rows[:, 0])), low, high)
    whole = np.isfinite(rows).all(axis=1)
    beyond = (rows < _or(low, -np.inf) - ROUNDING) | (rows > _or(high, np.inf) + ROUNDING)
    outside = whole & beyond.any(axis=1)
    distinct = len(np.unique(rows[whole], axis=0))
    return Answers(len(rows), int((~whole).sum()), int(outside.sum()), distinct, low, high)


def answers(found: Answers) -> Reason:
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
