"""The door through which a stored model answers: rows as they come from outside, made into what it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator

from refit.errors import ModelError
from refit.predictions import predict_once


def kinds_of(features: pd.DataFrame) -> dict[str, str]:
    """Says what each feature of the training rows is.

    Args:
        features: The features, some rows of them.

    Returns:
        From name, in the model's order, to `integer`, `number`, `truth value`, `time`, `category` or `text`.
    """
    return {str(name): _kind(features[name]) for name in features.columns}


def answer(model: BaseEstimator, kinds: Mapping[str, str], rows: pd.DataFrame, method: str) -> npt.NDArray[Any]:
    """Has a model answer to rows from outside.

    Args:
        model: A fitted model.
        kinds: Its features, from `kinds_of`.
        rows: The rows; the order of columns, columns too many, and how numbers, texts and times are written do not
            matter.
        method: `predict` or `predict_proba`.

    Returns:
        One answer per row.

    Raises:
        ModelError: If a column is missing or of another kind, or the model cannot predict these rows.
    """
    predictions = predict_once(model, conformed(kinds, rows))
    predictions.all_of(method)  # refuses what is not a number
    return predictions.raw(method)


def conformed(kinds: Mapping[str, str], rows: pd.DataFrame) -> pd.DataFrame:
    """Makes rows from outside into what a model was fitted on, where nothing is lost by it.

    Args:
        kinds: The features, from `kinds_of`.
        rows: The rows.

    Returns:
        The features in the model's order.

    Raises:
        ModelError: If a column is missing or of another kind.
    """
    missing = [name for name in kinds if name not in rows.columns]
    if missing:
        raise ModelError(f"the column {missing[0]!r} is missing: send every one of {', '.join(kinds)}")
    return pd.DataFrame({name: _as_kind(name, kind, rows[name]) for name, kind in kinds.items()}, index=rows.index)


def _kind(column: pd.Series[Any]) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    for kind, test in _TESTS.items():
        if test(column.dtype):
            return kind
    return "text"


_TESTS = {
    "truth value": types.is_bool_dtype,
    "integer": types.is_integer_dtype,
    "number": types.is_numeric_dtype,
    "time": types.is_datetime64_any_dtype,
}


def _as_kind(name: str, kind: str, column: pd.Series[Any]) -> pd.Series[Any]:
    found = _kind(column)
    if kind in ("text", "category"):
        return _texts(name, kind, column, found)
    if kind == "time":
        return _times(name, column, found)
    if found not in ("integer", "number", "truth value"):
        raise ModelError(f"the column {name!r} holds {found}s where the model knows {kind}s: send {kind}s")
    return _numbers(kind, column, found)


def _numbers(kind: str, column: pd.Series[Any], found: str) -> pd.Series[Any]:
    if kind == "integer" and found == "number":
        return column if column.isna().any() or (column % 1).any() else column.astype("int64")
    return column.astype("float64") if kind == "number" and found != "number" else column


def _texts(name: str, kind: str, column: pd.Series[Any], found: str) -> pd.Series[Any]:
    if found not in ("text", "category"):
        raise ModelError(f"the column {name!r} holds {found}s where the model knows texts: send texts")
    if kind == "category":
        return column if found == "category" else column.astype("category")
    return column.astype("str").where(column.notna()) if found == "category" else column


def _times(name: str, column: pd.Series[Any], found: str) -> pd.Series[Any]:
    if found != "time":
        raise ModelError(f"the column {name!r} holds {found}s where the model knows times: send times with a zone")
    zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
    return column.dt.tz_convert("UTC") if zoned else column
