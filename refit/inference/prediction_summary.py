"""Predictions as columns for drift measurement, and their histogram for pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from refit.modelling.predictions import Predictions

MAX_WATCHED_CLASSES = 10
"""With more classes, only the predicted class is measured for drift."""
BINS = 20
"""The number of bins of a number."""
MAX_COUNTED_CLASSES = 20
"""With more classes, the rarest are counted together."""


def output_columns(predictions: Predictions) -> pa.Table:
    """Converts predictions to columns, one per output.

    Args:
        predictions: A model's predictions for some rows.

    Returns:
        `probability of X` for each of a few classes, of two only for the second; else `prediction`, a number for a
        regressor, a text for a classifier without probabilities or with many classes.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    from refit.modelling.predictions import BINARY

    labels = predictions.labels
    if not labels:
        return pa.table({"prediction": pa.array(predictions.compute("predict"), pa.float64())})
    if not hasattr(predictions, "predict_proba") or len(labels) > MAX_WATCHED_CLASSES:
        return pa.table({"prediction": pa.array(list(map(str, predictions.compute("predict"))), pa.string())})
    probabilities, first = predictions.compute("predict_proba"), int(len(labels) == BINARY)
    return pa.table(
        {f"probability of {label}": probabilities[:, place] for place, label in list(enumerate(labels))[first:]}
    )


@dataclass(frozen=True, slots=True)
class PredictionHistogram:
    """The counts of predictions by class or by bin."""

    what: str
    """`probability` of the second of two classes, or `prediction`."""
    cells: tuple[str, ...]
    """Classes, or the lower ends of bins of equal width, as text."""
    counts: tuple[int, ...]
    ends: tuple[float, float] | None = None
    """The lower end of the first bin and the upper end of the last one; `None` for classes."""


def count_predictions(
    pieces: Iterable[pa.Table], ends: tuple[float, float] | None = None
) -> PredictionHistogram | None:
    """Counts predictions.

    Args:
        pieces: Rows of the predictions table; iterated twice, one piece at a time.
        ends: The range of the bins, so that two histograms can be compared; by default the range of the predictions.

    Returns:
        The counts of probabilities if there are any, else of predictions; `None` without rows.
    """
    first = next((piece for piece in pieces if piece.num_rows), None)
    if first is None:
        return None
    name = "score" if first["score"].null_count < first.num_rows else "prediction"
    if not pa.types.is_floating(first[name].type):
        return _classes(piece[name] for piece in pieces)
    what = "probability" if name == "score" else "prediction"
    low, high = (0.0, 1.0) if name == "score" else ends or _range(piece[name] for piece in pieces)
    edges = np.linspace(low, high, BINS + 1)
    counts = sum(np.histogram(piece[name].drop_null().to_numpy().clip(low, high), edges)[0] for piece in pieces)
    return PredictionHistogram(
        what, tuple(f"{edge:.4g}" for edge in edges[:-1]), tuple(np.asarray(counts).tolist()), (low, high)
    )


def _range(columns: Iterable[pa.ChunkedArray]) -> tuple[float, float]:
    found = [pc.min_max(column).as_py() for column in columns]
    low, high = min(one["min"] for one in found), max(one["max"] for one in found)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _classes(columns: Iterable[pa.ChunkedArray]) -> PredictionHistogram:
    counted: Counter[str] = Counter()
    for column in columns:
        counted.update({str(one["values"]): one["counts"] for one in pc.value_counts(column).to_pylist()})
    most = counted.most_common(MAX_COUNTED_CLASSES)
    rest = counted.total() - sum(count for _, count in most)
    cells = [*most, *([("others", rest)] if rest else [])]
    return PredictionHistogram("prediction", tuple(name for name, _ in cells), tuple(count for _, count in cells))
