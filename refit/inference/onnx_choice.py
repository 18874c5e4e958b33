"""The choice of a version's runtime: scikit-learn, or ONNX if it was measured to give the same predictions faster.

Code that only reads a recorded choice does not import scikit-learn.
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
"""The largest difference between a prediction of ONNX and scikit-learn's, relative for predictions above 1: the effect
of summing doubles in another order. Classes must be equal."""
MIN_SPEEDUP = 2.0
"""The factor by which ONNX must be faster for a single row; less is negligible compared with the cost of a request."""


@dataclass(frozen=True, slots=True)
class ServingForm:
    """The chosen runtime of a version, and the measurement behind it."""

    name: str
    """`onnx` or `scikit-learn`."""
    why: str
    """The reason for the choice, in a sentence."""
    rows: int = 0
    """The number of rows on which the two runtimes were compared; 0 if there is no ONNX file."""
    difference: float | None = None
    """The largest difference between predictions, from `runtime_difference`."""
    faster: float | None = None
    """The factor by which ONNX is faster for a single row."""
    sha256: str = ""
    """SHA-256 of the ONNX file in hexadecimal; empty if scikit-learn serves."""


def choose_runtime(rows: int, difference: float, faster: float, sha256: str) -> ServingForm:
    """Chooses the runtime by the measurements.

    Args:
        rows: The number of rows that both runtimes have predicted.
        difference: The largest difference between predictions.
        faster: The factor by which ONNX is faster for a single row.
        sha256: SHA-256 of the ONNX file.

    Returns:
        The choice.

    Example:
        >>> choose_runtime(900, 0.0, 1.2, "ab").why
        'ONNX is 1.2 times as fast for a single row: at least 2 times is required'
    """
    if not math.isfinite(difference):
        why = f"ONNX predicts a different class, or none, for at least one of {rows:,} rows"
        return ServingForm(SKLEARN, why, rows, None, faster)
    if difference > MAX_DIFFERENCE:
        why = (
            f"ONNX predictions differ by up to {difference:.3g} on {rows:,} rows: at most {MAX_DIFFERENCE:g} is allowed"
        )
        return ServingForm(SKLEARN, why, rows, difference, faster)
    if faster < MIN_SPEEDUP:
        why = f"ONNX is {faster:.1f} times as fast for a single row: at least {MIN_SPEEDUP:g} times is required"
        return ServingForm(SKLEARN, why, rows, difference, faster)
    why = f"ONNX gives the same predictions for {rows:,} rows and is {faster:.0f} times as fast for a single row"
    return ServingForm(ONNX, why, rows, difference, faster, sha256)


def runtime_difference(one: Prediction, other: Prediction) -> float:
    """Returns the largest difference between two runtimes' predictions for the same rows.

    Args:
        one: The predictions of ONNX.
        other: The predictions of scikit-learn.

    Returns:
        The largest difference of a probability, or of a number, relative for numbers above 1; infinite if a class
        differs.
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
    """Compares ONNX with its scikit-learn model once more, on the machine where it is to serve.

    Args:
        form: The ONNX runtime.
        model: The model.
        kinds: Its features.
        rows: Features within the verified domain.

    Returns:
        Whether both predict the same for every row that the ONNX runtime accepts.
    """
    from refit.inference.predictor import Prediction, columns_of

    together = model.predict(rows)
    for place in range(len(rows)):
        fast, probabilities = form.predict(columns_of(rows.iloc[[place]], kinds)), together.probabilities
        row = Prediction(together.predictions[[place]], None if probabilities is None else probabilities[[place]])
        if fast is not None and runtime_difference(fast, row) > MAX_DIFFERENCE:
            return False
    return True
