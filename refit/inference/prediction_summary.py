"""What a model says, as columns: so that its predictions can be watched for drift like any other column.

How a model's answers are spread: counts in a few cells, for a picture.
"""

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
"""Of a model with more classes only the predicted class is watched."""


def output_columns(predictions: Predictions) -> pa.Table:
    """Turns predictions into columns, one per output.

    Args:
        predictions: What a model says of some rows.

    Returns:
        `probability of X` for each of a few classes, for the second one alone of two; else `prediction`, a number for a
        regressor, a text for a classifier without probabilities or with many classes.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    from refit.modelling.predictions import BINARY

    labels = predictions.labels
    if not labels:
        return pa.table({"prediction": pa.array(predictions.compute("predict"), pa.float64())})
    if not hasattr(predictions, "predict_proba") or len(labels) > MAX_WATCHED_CLASSES:
        return pa.table({"prediction": pa.array([str(said) for said in predictions.compute("predict")], pa.string())})
    answers, first = predictions.compute("predict_proba"), int(len(labels) == BINARY)
    return pa.table({f"probability of {label}": answers[:, place] for place, label in list(enumerate(labels))[first:]})


BINS = 20
"""So many cells a number has."""
MAX_COUNTED_CLASSES = 20
"""Of more classes the rarest are counted together."""


@dataclass(frozen=True, slots=True)
class PredictionHistogram:
    """How often what was said."""

    what: str
    """`probability` of the second of two classes, or `prediction`."""
    cells: tuple[str, ...]
    """Classes, or the lower ends of intervals of equal width, in words."""
    counts: tuple[int, ...]
    ends: tuple[float, float] | None = None
    """Where the intervals begin and end; `None` for classes."""


def count_predictions(
    pieces: Iterable[pa.Table], ends: tuple[float, float] | None = None
) -> PredictionHistogram | None:
    """Counts predictions.

    Args:
        pieces: Rows of the predictions' table; read twice, one piece at a time.
        ends: The range to count in, so that two spreads can be compared; their own by default.

    Returns:
        The counts of probabilities where there are any, else of predictions; `None` without rows.
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
