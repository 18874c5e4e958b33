"""Predictions as rows: what a model was asked, what it said, and who asked, in the columns that all of them share.

Features and keys are flat columns, `feature__NAME` and `key__NAME`, and no struct: a reader then loads and skips each
one by itself, and a feature that a later version brings is one more column, which older rows simply do not have. What
an estimator computes with is a number, so a feature of whole numbers or truth values is stored as one: a missing value
makes floats of both, and one column holds all of that.

What versions said, read back from the table of predictions as what a scorer can ask.
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
"""What stands before the name of a feature, and of a column of the key."""
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
"""The columns that every row has, beside `prediction`, whose type is the target's."""


@dataclass(frozen=True, slots=True)
class PredictionContext:
    """Whom rows were given to, when, and by what."""

    version: int
    generation: int
    """The champion's, also where a shadow answered beside it."""
    role: Role
    source: Source
    scored_at: datetime
    """UTC."""


def prediction_columns(predictions: Predictions) -> pa.Table:
    """Gives what a model says as columns.

    Args:
        predictions: Its answers to some rows.

    Returns:
        `prediction`; `score`, the probability of the second of two classes; and for more classes `scores`, in the
        order of `classes`. What a model does not give is null.

    Raises:
        ModelError: If it cannot predict these rows, or says what is no number.
    """
    predictions.compute("predict")  # refuses what is no number
    said, rows, labels = predictions.compute_raw("predict"), len(predictions), predictions.labels
    columns = {name: pa.nulls(rows, COMMON_COLUMNS[name]) for name in ("score", "scores", "classes")}
    if labels and hasattr(predictions, "predict_proba"):
        given = predictions.compute("predict_proba")
        if len(labels) == BINARY:
            columns["score"] = pa.array(given[:, 1], pa.float64())
        else:
            columns["scores"] = pa.array(list(given.astype(float)), COMMON_COLUMNS["scores"])
            columns["classes"] = pa.array([[str(label) for label in labels]] * rows, COMMON_COLUMNS["classes"])
    return pa.table({"prediction": _prediction_column(said), **columns})


def prediction_rows(
    asked: PredictionContext,
    said: pa.Table,
    features: pd.DataFrame,
    keys: pa.Table | None = None,
    event_time: pa.Array | pa.ChunkedArray | None = None,
    row_hash: Iterable[str] | None = None,
    request_id: Iterable[str | None] | None = None,
) -> pa.Table:
    """Makes rows of the predictions' table, one for each answer.

    Args:
        asked: Whom, when and by what.
        said: The answers, from `said_by`.
        features: What the model saw.
        keys: The columns of the project's key, as they are; none where it has none.
        event_time: The project's timestamp, as far as the rows have one.
        row_hash: What tells a row from others.
        request_id: The request that each row came with.

    Returns:
        The rows, with all columns in their order.
    """
    count = said.num_rows
    given = {
        "row_hash": None if row_hash is None else pa.array(row_hash, pa.string()),
        "event_time": None if event_time is None else event_time.cast(TIME_TYPE, safe=False),
        "scored_at": pa.repeat(pa.scalar(asked.scored_at, TIME_TYPE), count),
        "scored_on": pa.repeat(pa.scalar(asked.scored_at.date(), pa.date32()), count),
        "version": pa.repeat(asked.version, count),
        "generation": pa.repeat(asked.generation, count),
        "role": pa.repeat(asked.role, count),
        "source": pa.repeat(asked.source, count),
        "request_id": None if request_id is None else pa.array(request_id, pa.string()),
        **{name: said[name] for name in ("score", "scores", "classes")},
    }
    columns = {name: pa.nulls(count, COMMON_COLUMNS[name]) if cells is None else cells for name, cells in given.items()}
    columns["prediction"] = said["prediction"]
    if keys is not None:
        columns |= {KEY_PREFIX + name: keys[name] for name in keys.column_names}
    for place, name in enumerate(features.columns):
        columns[f"{FEATURE_PREFIX}{name}"] = to_arrow(features.iloc[:, place])
    return pa.table(columns)


def cast_for_storage(rows: pa.Table, held: pa.Schema) -> pa.Table:
    """Gives rows the types in which a table holds them; nothing is lost by it but what no estimator sees.

    Args:
        rows: From `prediction_rows`.
        held: The columns that the table has by now.

    Returns:
        The same rows. A column whose type is another one than the table's, since a version was fitted on other data,
        stands under its name with the type behind it, such as `feature__size:text`. Columns without a value that the
        table does not know are left out.
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


_TYPE_SUFFIXES: dict[Family, str] = {
    "number": "number",
    "text": "text",
    "truth value": "truth",
    "time with a zone": "time",
    "time without a zone": "local",
}


def _cast_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Gives a column the one type of its family."""
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


def _prediction_column(said: Array) -> pa.Array:
    """Writes classes as the target has them: numbers, truth values, or text."""
    if said.dtype.kind in "fiu":
        return pa.array(said.astype(float).reshape(len(said)), pa.float64())
    return pa.array(said) if said.dtype.kind == "b" else pa.array([str(one) for one in said], pa.string())


def _unused(self: BaseEstimator, rows: pd.DataFrame) -> None:
    """Never asked: `Given` has the answers."""


class _RecordedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a model that is not there: all of its answers are given."""

    predict = _unused


class _RecordedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same of classes."""

    def __init__(self, classes: Sequence[Any], *, gives_probabilities: bool) -> None:
        self.classes, self.gives_probabilities = classes, gives_probabilities

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.classes)

    predict = _unused

    predict_proba: property = available_if(lambda self: self.gives_probabilities)(_unused)
    """Tells scorers that it gives probabilities, where it does."""


def find_classes(said: Iterable[pa.Table], truth: Iterable[Any]) -> list[Any]:
    """Finds the classes of a project.

    Args:
        said: Rows of the predictions' table, all of its versions.
        truth: The labels of rows, none missing, of the same type.

    Returns:
        The classes in the order of their probabilities: of more than two as the rows name them, else sorted.
    """
    parts = list(said)
    for part in parts:
        named = part["classes"].drop_null() if "classes" in part.column_names else []
        if len(named):
            own = part["prediction"].type
            return list(pa.array(named[0].as_py()).cast(own).to_pylist())
    return sorted({*truth, *(one for part in parts for one in part["prediction"].unique().to_pylist())})


def read_predictions(said: pa.Table, classes: Sequence[Any]) -> Predictions:
    """Reads answers as predictions.

    Args:
        said: Rows of the predictions' table, of one version.
        classes: From `classes_in`; none for a regression.

    Returns:
        The predictions, in the order of the rows.
    """
    given = said["prediction"].to_numpy()
    probabilities = _probabilities(said, classes)
    model = (
        _RecordedClassifier(classes, gives_probabilities=probabilities is not None) if classes else _RecordedRegressor()
    )
    return RecordedPredictions(model, pd.DataFrame(index=range(len(given))), Prediction(given, probabilities))


def _probabilities(said: pa.Table, classes: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Gives one column for each class; `None` where a row has none."""
    name = "score" if len(classes) == BINARY else "scores"
    if not classes or name not in said.column_names or said[name].null_count:
        return None
    if name == "scores":
        return np.array(said[name].to_pylist(), dtype=float)
    score = said[name].to_numpy()
    return np.column_stack([1 - score, score])
