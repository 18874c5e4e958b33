"""In which form a version serves: scikit-learn's own, or ONNX where that was measured to say the same and be faster.

Who reads of a choice does not wait for scikit-learn: what compares answers imports it when it is called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from refit.inference.predictor import ModelRuntime, Prediction, Predictor

ONNX, SKLEARN = "onnx", "scikit-learn"
MAX_DIFFERENCE = 1e-9
"""How far an answer in ONNX may lie from scikit-learn's, as a share of answers larger than 1: what another order of
sums in doubles can do. Classes are the same ones."""
MIN_SPEEDUP = 2.0
"""ONNX serves if it answers a single row so many times as fast: less is not felt beside what a request costs."""


@dataclass(frozen=True, slots=True)
class ServingForm:
    """What was chosen for a version, and by which measurement."""

    name: str
    """`onnx` or `scikit-learn`."""
    why: str
    """Why this form was chosen, in a sentence."""
    rows: int = 0
    """How many rows the two forms were compared on; 0 where there is no ONNX form."""
    difference: float | None = None
    """The largest difference of an answer, as `difference` measures it."""
    faster: float | None = None
    """How many times as fast ONNX answers a single row."""
    sha256: str = ""
    """Of the ONNX file, in hexadecimal; empty where scikit-learn serves."""


def choose_runtime(rows: int, difference: float, faster: float, sha256: str) -> ServingForm:
    """Chooses the form by what was measured.

    Args:
        rows: How many rows both have answered.
        difference: The largest difference of an answer.
        faster: How many times as fast ONNX answers a single row.
        sha256: Of the ONNX file.

    Returns:
        The choice.

    Example:
        >>> choose_runtime(900, 0.0, 1.2, "ab").why
        'ONNX answers a row 1.2 times as fast: 2 times are asked for'
    """
    if not math.isfinite(difference):
        why = f"ONNX gives another class, or no answer, to one of {rows:,} rows"
        return ServingForm(SKLEARN, why, rows, None, faster)
    if difference > MAX_DIFFERENCE:
        why = f"ONNX answers {rows:,} rows with differences of up to {difference:.3g}: {MAX_DIFFERENCE:g} is allowed"
        return ServingForm(SKLEARN, why, rows, difference, faster)
    if faster < MIN_SPEEDUP:
        why = f"ONNX answers a row {faster:.1f} times as fast: {MIN_SPEEDUP:g} times are asked for"
        return ServingForm(SKLEARN, why, rows, difference, faster)
    why = f"ONNX gives the same answers to {rows:,} rows, and answers a single one {faster:.0f} times as fast"
    return ServingForm(ONNX, why, rows, difference, faster, sha256)


def runtime_difference(one: Prediction, other: Prediction) -> float:
    """Tells how far two forms' answers to the same rows lie apart.

    Args:
        one: What ONNX says.
        other: What scikit-learn says.

    Returns:
        The largest difference of a probability, or of a number, of numbers beyond 1 as a share of them; infinite where
        a class differs.
    """
    import numpy as np

    from refit.modelling.predictions import max_abs_difference

    if other.probabilities is None:
        scale = np.maximum(1.0, np.abs(other.predictions.astype(float)))
        return max_abs_difference(one.predictions / scale, other.predictions / scale)
    if not np.array_equal(one.predictions, other.predictions) or one.probabilities is None:
        return float("inf")
    return max_abs_difference(one.probabilities, other.probabilities)


def runtimes_agree(form: ModelRuntime, model: Predictor, kinds: Mapping[str, str], rows: pd.DataFrame) -> bool:
    """Holds a form against its model once more, where it is to serve.

    Args:
        form: The form.
        model: The model.
        kinds: Its features.
        rows: Features that it knows.

    Returns:
        Whether both say the same of every row that the form answers.
    """
    from refit.inference.predictor import Prediction, columns_of

    together = model.predict(rows)
    for place in range(len(rows)):
        said, told = form.predict(columns_of(rows.iloc[[place]], kinds)), together.probabilities
        one = Prediction(together.predictions[[place]], None if told is None else told[[place]])
        if said is not None and runtime_difference(said, one) > MAX_DIFFERENCE:
            return False
    return True
