"""The door through which a stored model answers: rows as they come from outside, made into what it was fitted on."""

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


def feature_kinds(features: pd.DataFrame) -> dict[str, str]:
    """Says what each feature of the training rows is.

    Args:
        features: The features, some rows of them.

    Returns:
        From name, in the model's order, to `integer`, `number`, `truth value`, `time`, `zoneless time`, `category`,
        `text` or `other value`.
    """
    return {str(name): _kind(features[name]) for name in features.columns}


def predict_rows(model: BaseEstimator, kinds: Mapping[str, str], rows: pd.DataFrame, method: str) -> npt.NDArray[Any]:
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
    predictions = predict_once(model, cast_features(kinds, rows))
    predictions.compute(method)  # refuses what is not a number
    return predictions.compute_raw(method)


def cast_features(kinds: Mapping[str, str], rows: pd.DataFrame) -> pd.DataFrame:
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
    twice = [name for name in kinds if not isinstance(rows[name], pd.Series)]
    if twice:
        raise ModelError(f"the column {twice[0]!r} is there more than once: send it once")
    return pd.DataFrame({name: _cast_column(name, kind, rows[name]) for name, kind in kinds.items()}, index=rows.index)


def _kind(column: pd.Series[Any]) -> str:
    for kind, test in _TESTS.items():
        if test(column.dtype):
            return kind
    return _OBJECTS.get(types.infer_dtype(column, skipna=True), "other value")


_OBJECTS = {"string": "text", "empty": "text", "boolean": "truth value", "integer": "integer", "floating": "number"}
"""What pandas finds in a column without a type of its own: truth values and some missing, say."""
_TESTS = {
    "category": lambda dtype: isinstance(dtype, pd.CategoricalDtype),
    "truth value": types.is_bool_dtype,
    "integer": types.is_integer_dtype,
    "number": types.is_numeric_dtype,
    "time": lambda dtype: isinstance(dtype, pd.DatetimeTZDtype),
    "zoneless time": types.is_datetime64_any_dtype,
}
_EMPTY = {"text": "str", "category": "category", "time": "datetime64[us, UTC]", "zoneless time": "datetime64[us]"}
"""How a column of the kind is written in which all values are missing; a column of numbers as `float64`."""

MAX_EXACT_INTEGER = 2.0**53
"""Up to here every whole number is a float."""


def _cast_column(name: str, kind: str, column: pd.Series[Any]) -> pd.Series[Any]:
    found = _kind(column)
    if kind not in (found, "other value") and column.isna().all():
        # A request of one row does not tell of what kind a missing value is.
        return pd.Series(None, index=column.index, dtype=_EMPTY.get(kind, "float64"))
    if found not in _ACCEPTED_KINDS.get(kind, (kind,)):
        raise _wrong_kind(name, kind, found)
    if kind in ("text", "category"):
        return _texts(kind, column, found)
    if kind == "time":
        times: pd.Series[Any] = column.dt.tz_convert("UTC")
        return times
    return column if kind not in _NUMBERS else _numbers(name, kind, column, found)


_NUMBERS, _TEXTS = ("integer", "number", "truth value"), ("text", "category")
_ACCEPTED_KINDS = {**dict.fromkeys(_NUMBERS, _NUMBERS), **dict.fromkeys(_TEXTS, _TEXTS)}
"""For a kind the others that are taken for it; only itself where it is not named."""


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
    # Both None and NaN are missing; to an encoder they are two categories.
    return column if isinstance(column.dtype, pd.StringDtype) else column.astype("str").where(column.notna())


def _wrong_kind(name: str, kind: str, found: str) -> ModelError:
    wanted = {"time": "times with a zone", "text": "texts", "category": "texts"}.get(kind, f"{kind}s")
    known = "texts" if kind == "category" else f"{kind}s"
    plural = "categories" if found == "category" else f"{found}s"
    return ModelError(f"the column {name!r} holds {plural} where the model knows {known}: send {wanted}")
