"""The feature schema of a stored model: the kind of each feature, and the cast of rows from outside to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator

from refit.errors import ModelError
from refit.modelling.predictions import predict_once

_OBJECTS = {"string": "text", "empty": "text", "boolean": "truth value", "integer": "integer", "floating": "number"}
"""What pandas infers for a column of objects, such as truth values with missing ones."""
_TESTS = {
    "category": lambda dtype: isinstance(dtype, pd.CategoricalDtype),
    "truth value": types.is_bool_dtype,
    "integer": types.is_integer_dtype,
    "number": types.is_numeric_dtype,
    "time": lambda dtype: isinstance(dtype, pd.DatetimeTZDtype),
    "zoneless time": types.is_datetime64_any_dtype,
}
_NUMPY_KINDS = {"b": "truth value", "i": "integer", "u": "integer", "f": "number"}
"""The kinds of the dtypes of NumPy by their letter."""
_EMPTY = {"text": "str", "category": "category", "time": "datetime64[us, UTC]", "zoneless time": "datetime64[us]"}
"""The dtype of a column in which all values are missing; `float64` for numbers."""
MAX_EXACT_INTEGER = 2.0**53
"""Up to here every integer is exact as a float."""
NUMBER_KINDS = ("integer", "number", "truth value")
"""The kinds that are cast to each other without loss, and that ONNX takes as doubles."""
TEXT_KINDS = ("text", "category")
"""The kinds of texts, which ONNX takes as strings."""
_ACCEPTED_KINDS = {**dict.fromkeys(NUMBER_KINDS, NUMBER_KINDS), **dict.fromkeys(TEXT_KINDS, TEXT_KINDS)}
"""The kinds that are accepted for a kind; only itself if it is not listed."""
_PLURALS = {"category": "categories", "time": "times with a zone", "zoneless time": "times without a zone"}


def feature_kinds(features: pd.DataFrame) -> dict[str, str]:
    """Returns the kind of each feature.

    Args:
        features: The features of some training rows.

    Returns:
        Names, in the model's order, and kinds: `integer`, `number`, `truth value`, `time`, `zoneless time`, `category`,
        `text` or `other value`.
    """
    return {str(name): _kind(features[name]) for name in features.columns}


def predict_rows(model: BaseEstimator, kinds: Mapping[str, str], rows: pd.DataFrame, method: str) -> npt.NDArray[Any]:
    """Predicts rows from outside.

    Args:
        model: A fitted model.
        kinds: Its features, from `feature_kinds`.
        rows: The rows; the order of columns, additional columns, and the dtypes of numbers, texts and times do not
            matter.
        method: `predict` or `predict_proba`.

    Returns:
        One prediction per row.

    Raises:
        ModelError: If a column is missing or of another kind, or the model cannot predict these rows.
    """
    predictions = predict_once(model, cast_features(kinds, rows))
    predictions.compute(method)  # fails if a prediction is NaN or infinite
    return predictions.compute_raw(method)


def cast_features(kinds: Mapping[str, str], rows: pd.DataFrame) -> pd.DataFrame:
    """Casts rows from outside to the features that a model was fitted on, without loss.

    Args:
        kinds: The features, from `feature_kinds`.
        rows: The rows.

    Returns:
        The features in the model's order.

    Raises:
        ModelError: If a column is missing or of another kind.
    """
    missing = [name for name in kinds if name not in rows.columns]
    if missing:
        raise ModelError(f"column {missing[0]!r} is missing: send all of {', '.join(kinds)}")
    twice = [] if rows.columns.is_unique else [name for name in kinds if not isinstance(rows[name], pd.Series)]
    if twice:
        raise ModelError(f"column {twice[0]!r} appears more than once: send it once")
    dtypes = dict(zip(rows.columns, rows.dtypes, strict=True))
    others = {name: kind for name, kind in kinds.items() if kind != _number_kind(dtypes[name])}
    cast = {name: _cast_column(name, kind, rows[name]) for name, kind in others.items()}
    if len(cast) * 4 > len(kinds):
        return pd.DataFrame({name: cast[name] if name in cast else rows[name] for name in kinds}, index=rows.index)
    # A frame of thousands of columns is not taken apart for a few of them.
    return rows[list(kinds)].set_axis(list(kinds), axis="columns").assign(**cast)


def _number_kind(dtype: Any) -> str | None:  # noqa: ANN401 - the dtypes of pandas have no common type
    """Returns the kind of a column of plain numbers, which need no cast if they are of the model's kind."""
    return _NUMPY_KINDS.get(dtype.kind) if isinstance(dtype, np.dtype) else None


def _kind(column: pd.Series[Any]) -> str:
    for kind, test in _TESTS.items():
        if test(column.dtype):
            return kind
    return _OBJECTS.get(types.infer_dtype(column, skipna=True), "other value")


def _cast_column(name: str, kind: str, column: pd.Series[Any]) -> pd.Series[Any]:
    found = _kind(column)
    if kind not in (found, "other value") and column.isna().all():
        # A single missing value has no kind of its own.
        return pd.Series(None, index=column.index, dtype=_EMPTY.get(kind, "float64"))
    if found not in _ACCEPTED_KINDS.get(kind, (kind,)):
        raise _wrong_kind(name, kind, found)
    if kind in TEXT_KINDS:
        return _texts(kind, column, found)
    if kind == "time":
        times: pd.Series[Any] = column.dt.tz_convert("UTC")
        return times
    return column if kind not in NUMBER_KINDS else _numbers(name, kind, column, found)


def _numbers(name: str, kind: str, column: pd.Series[Any], found: str) -> pd.Series[Any]:
    if found == kind:
        return column
    if kind == "number":
        return column.astype("float64")
    values = column.to_numpy(dtype="float64", na_value=np.nan)
    if kind == "truth value" and not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise _wrong_kind(name, kind, found)
    whole = bool((np.abs(values) < MAX_EXACT_INTEGER).all() and (values % 1 == 0).all())
    return column.astype("bool" if kind == "truth value" else "int64") if whole else column


def _texts(kind: str, column: pd.Series[Any], found: str) -> pd.Series[Any]:
    if kind == "category":
        return column if found == "category" else column.astype("category")
    # None and NaN are both missing, but an encoder would treat them as two categories.
    return column if isinstance(column.dtype, pd.StringDtype) else column.astype("str").where(column.notna())


def _wrong_kind(name: str, kind: str, found: str) -> ModelError:
    trained_on, found_kinds = (_PLURALS.get(each, f"{each}s") for each in (kind, found))
    trained_on = "texts" if kind == "category" else trained_on
    return ModelError(
        f"column {name!r} holds {found_kinds}, but the model was trained on {trained_on}: send {trained_on}"
    )
