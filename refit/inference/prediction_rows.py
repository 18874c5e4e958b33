"""Rows of the predictions table: built from predictions, cast for storage, and read back for scorers.

Features and keys are flat columns, `feature__NAME` and `key__NAME`, not structs: readers can load and skip each one
separately, and a feature of a later version is one more column, which older rows lack. Estimators compute with numbers,
so integer and boolean features are stored as floats: missing values turn both into floats, and one column holds all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from refit.data.casting import STORED_TYPES, Family, family_of, value_type
from refit.data.chunks import to_arrow
from refit.inference.predictor import Prediction, RecordedPredictions
from refit.modelling.predictions import BINARY, Array, Predictions

Role = Literal["champion", "shadow", "canary"]
Source = Literal["batch", "http"]
FEATURE_PREFIX, KEY_PREFIX = "feature__", "key__"
"""The prefix of a key's column."""
TIME_TYPE = STORED_TYPES["time with a zone"]
COMMON_COLUMNS: dict[str, pa.DataType] = {
    "row_hash": pa.string(),
    "event_time": TIME_TYPE,
    "scored_at": TIME_TYPE,
    "scored_on": pa.date32(),
    "version": pa.int64(),
    "generation": pa.int64(),
    "role": pa.string(),
    "source": pa.string(),
    "request_id": pa.string(),
    "score": pa.float64(),
    "scores": pa.list_(pa.float64()),
    "classes": pa.list_(pa.string()),
}
"""The columns of every row, in addition to `prediction`, which has the target's type."""
_TYPE_SUFFIXES: dict[Family, str] = {
    "number": "number",
    "text": "text",
    "truth value": "truth",
    "time with a zone": "time",
    "time without a zone": "local",
}


@dataclass(frozen=True, slots=True)
class PredictionContext:
    """The version that predicted some rows, its role, and when and where it did."""

    version: int
    """The version that predicted."""
    generation: int
    """The champion's generation, also for a shadow's predictions."""
    role: Role
    source: Source
    scored_at: datetime
    """UTC."""


def prediction_columns(predictions: Predictions) -> pa.Table:
    """Converts predictions to columns.

    Args:
        predictions: A model's predictions for some rows.

    Returns:
        `prediction`; `score`, the probability of the second of two classes; and for more classes `scores`, in the order
        of `classes`. Null if the model has no probabilities.

    Raises:
        ModelError: If the model cannot predict these rows, or a prediction is NaN or infinite.
    """
    predictions.compute("predict")  # fails if a prediction is NaN or infinite
    values, rows, labels = predictions.compute_raw("predict"), len(predictions), predictions.labels
    columns = {name: pa.nulls(rows, COMMON_COLUMNS[name]) for name in ("score", "scores", "classes")}
    if labels and hasattr(predictions, "predict_proba"):
        probabilities = predictions.compute("predict_proba")
        if len(labels) == BINARY:
            columns["score"] = pa.array(probabilities[:, 1], pa.float64())
        else:
            columns["scores"] = pa.array(list(probabilities.astype(float)), COMMON_COLUMNS["scores"])
            columns["classes"] = pa.array([[str(label) for label in labels]] * rows, COMMON_COLUMNS["classes"])
    return pa.table({"prediction": _prediction_column(values), **columns})


def prediction_rows(
    context: PredictionContext,
    predictions: pa.Table,
    features: pd.DataFrame,
    keys: pa.Table | None = None,
    event_time: pa.Array | pa.ChunkedArray | None = None,
    row_hash: Iterable[str] | None = None,
    request_id: Iterable[str | None] | None = None,
) -> pa.Table:
    """Builds rows of the predictions table, one per prediction.

    Args:
        context: The version, its role, and when and where it predicted.
        predictions: The predictions, from `prediction_columns`.
        features: The features that the model received.
        keys: The columns of the project's key; `None` if it has none.
        event_time: The project's timestamp; `None` if the rows have none.
        row_hash: The hash that identifies each row.
        request_id: The request of each row.

    Returns:
        The rows, with all columns in their order.
    """
    count = predictions.num_rows
    found = {
        "row_hash": None if row_hash is None else pa.array(row_hash, pa.string()),
        "event_time": None if event_time is None else event_time.cast(TIME_TYPE, safe=False),
        "scored_at": pa.repeat(pa.scalar(context.scored_at, TIME_TYPE), count),
        "scored_on": pa.repeat(pa.scalar(context.scored_at.date(), pa.date32()), count),
        "version": pa.repeat(context.version, count),
        "generation": pa.repeat(context.generation, count),
        "role": pa.repeat(context.role, count),
        "source": pa.repeat(context.source, count),
        "request_id": None if request_id is None else pa.array(request_id, pa.string()),
        **{name: predictions[name] for name in ("score", "scores", "classes")},
    }
    columns = {name: pa.nulls(count, COMMON_COLUMNS[name]) if cells is None else cells for name, cells in found.items()}
    columns["prediction"] = predictions["prediction"]
    if keys is not None:
        columns |= {KEY_PREFIX + name: keys[name] for name in keys.column_names}
    for place, name in enumerate(features.columns):
        columns[f"{FEATURE_PREFIX}{name}"] = to_arrow(features.iloc[:, place])
    return pa.table(columns)


def cast_for_storage(rows: pa.Table, held: pa.Schema) -> pa.Table:
    """Casts rows to the types in which a table stores them; values that no estimator distinguishes may be merged.

    Args:
        rows: Rows from `prediction_rows`.
        held: The table's current columns.

    Returns:
        The same rows. A column whose type differs from the table's, because a version was fitted on other data, gets
        its type as a suffix, such as `feature__size:text`. Empty columns that the table lacks are dropped.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    for name in rows.column_names:
        column = _cast_column(name, rows[name])
        if pa.types.is_null(column.type):
            if name in held.names:
                columns[name] = pa.chunked_array([pa.nulls(len(column), held.field(name).type)])
            continue
        differs = name not in COMMON_COLUMNS and name in held.names and held.field(name).type != column.type
        columns[f"{name}:{_TYPE_SUFFIXES[family_of(column.type)]}" if differs else name] = column
    return pa.table(columns)


def find_classes(predictions: Iterable[pa.Table], truth: Iterable[Any]) -> list[Any]:
    """Finds the classes of a project.

    Args:
        predictions: Rows of the predictions table, of all versions.
        truth: The labels of rows, none missing, with the type of the predictions.

    Returns:
        The classes in the order of their probabilities: for more than two as the rows list them, else sorted.
    """
    parts = list(predictions)
    for part in parts:
        named = part["classes"].drop_null() if "classes" in part.column_names else []
        if len(named):
            own = part["prediction"].type
            return list(pa.array(named[0].as_py()).cast(own).to_pylist())
    return sorted({*truth, *(one for part in parts for one in part["prediction"].unique().to_pylist())})


def read_predictions(rows: pa.Table, classes: Sequence[Any]) -> Predictions:
    """Reads rows of the predictions table as predictions for scorers.

    Args:
        rows: Rows of the predictions table, of one version.
        classes: The classes, from `find_classes`; empty for a regression.

    Returns:
        The predictions, in the order of the rows.
    """
    values = rows["prediction"].to_numpy()
    probabilities = _probabilities(rows, classes)
    model = (
        _RecordedClassifier(classes, gives_probabilities=probabilities is not None) if classes else _RecordedRegressor()
    )
    return RecordedPredictions(model, pd.DataFrame(index=range(len(values))), Prediction(values, probabilities))


def _cast_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Casts a column to the stored type of its family."""
    if name in COMMON_COLUMNS:
        return column.cast(COMMON_COLUMNS[name])
    kind = value_type(column.type)
    column, family = column.cast(kind), family_of(kind)
    if family == "nothing":
        return column
    if family == "unknown":
        return pa.chunked_array([pa.array([None if cell is None else str(cell) for cell in column.to_pylist()])])
    if family == "truth value" and name.startswith(FEATURE_PREFIX):
        return column.cast(pa.uint8()).cast(pa.float64())
    if pa.types.is_integer(kind) and not name.startswith(FEATURE_PREFIX):
        return column.cast(pa.int64())
    return column.cast(STORED_TYPES[family], safe=False)


def _prediction_column(values: Array) -> pa.Array:
    """Converts predictions to the target's type: numbers, truth values, or text."""
    if values.dtype.kind in "fiu":
        return pa.array(values.astype(float).reshape(len(values)), pa.float64())
    return pa.array(values) if values.dtype.kind == "b" else pa.array([str(one) for one in values], pa.string())


def _unused(self: BaseEstimator, rows: pd.DataFrame) -> None:
    """Never called: `RecordedPredictions` has the predictions."""


class _RecordedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a regressor that is not loaded; its predictions are recorded."""

    predict = _unused


class _RecordedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a classifier that is not loaded; its predictions are recorded."""

    def __init__(self, classes: Sequence[Any], *, gives_probabilities: bool) -> None:
        self.classes, self.gives_probabilities = classes, gives_probabilities

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.classes)

    predict = _unused

    predict_proba: property = available_if(lambda self: self.gives_probabilities)(_unused)
    """Shows scorers that there are probabilities, if there are."""


def _probabilities(rows: pa.Table, classes: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Returns one column per class; `None` if a row has no probabilities."""
    name = "score" if len(classes) == BINARY else "scores"
    if not classes or name not in rows.column_names or rows[name].null_count:
        return None
    if name == "scores":
        return np.array(rows[name].to_pylist(), dtype=float)
    score = rows[name].to_numpy()
    return np.column_stack([1 - score, score])
