"""Columns of JSON values parsed to the arrays that a model was fitted on, with an error about the first invalid cell.

The result is the column that `refit.inference.feature_schema.cast_features` makes of the same values. It is built
without a frame, since a request of one row spends more time in pandas than in most models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from refit.data.casting import TEXT_LIMIT, Family, family_of
from refit.errors import DataError
from refit.inference.feature_schema import MAX_EXACT_INTEGER, cast_features

_KINDS: dict[Family, str] = {
    "number": "number",
    "text": "text",
    "truth value": "truth value",
    "time with a zone": "time",
    "time without a zone": "zoneless time",
}
"""The kind of each family of Arrow types in training rows; integers have a kind of their own."""
_MAX_SHOWN = 60
"""The most characters of a value in a message."""
_LONG = (lambda value: -(2**63) <= value < 2**63, "whole numbers of at most 64 bits")
_TYPE_NAMES: dict[type, str] = {list: "a list", dict: "an object", type(None): "null"}


def kind_of(field: pa.Field) -> str:
    """Returns the kind of a table's column.

    Args:
        field: The column of a project's table.

    Returns:
        The kind, as `refit.inference.feature_schema.feature_kinds` names it.
    """
    return "integer" if pa.types.is_integer(field.type) else _KINDS.get(family_of(field.type), "text")


def parse_cells(kind: str, name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 - arrays of numpy and of pandas
    """Parses a column.

    Args:
        kind: Its kind in training, from `refit.inference.feature_schema.feature_kinds`.
        name: Its name, for the message.
        values: Its JSON values, `None` if missing.

    Returns:
        An array or a series, to be put into a frame.

    Raises:
        DataError: If a value is of another kind, NaN or infinite.
    """
    return _PARSERS[kind](name, values)


def check_cells(kind: str, name: str, values: Sequence[Any]) -> None:
    """Checks a column without parsing it, if its kind allows that.

    Args:
        kind: Its kind in training, from `refit.inference.feature_schema.feature_kinds`.
        name: Its name, for the message.
        values: Its JSON values, `None` if missing.

    Raises:
        DataError: If a value is of another kind, NaN or infinite.
    """
    if kind == "integer" and set(map(type, values)) == {int}:
        _check(name, values, *_LONG)
    elif kind in _CHECKS:
        _check(name, values, *_CHECKS[kind])
    else:
        _PARSERS[kind](name, values)


def parse_key_column(kind: str, name: str, values: Sequence[Any], pii: Collection[str] = ()) -> pa.Array:
    """Parses a key column; integers stay integers even if some values are missing.

    Args:
        kind: Its kind in the project's table.
        name: Its name, for the message.
        values: Its cells, `None` if missing.
        pii: The columns whose values are not shown in messages.

    Returns:
        The column.

    Raises:
        DataError: If a cell is of another kind.
    """
    found = _cells(kind, name, values, pii)
    if kind == "time":
        return pa.array(found.tz_localize(None).to_numpy(), pa.timestamp("us", "UTC"))
    if kind != "integer":
        return pa.array(found, from_pandas=True)
    if not all(value is None or value % 1 == 0 for value in values):
        raise DataError(f"column {name!r} holds a number that is not whole: send whole numbers")
    return pa.array([None if value is None else int(value) for value in values], pa.int64())


def _integers(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    check_cells("integer", name, values)
    if set(map(type, values)) == {int}:
        return np.array(values, "int64")
    numbers = np.array(values, "float64")
    whole = bool((np.abs(numbers) < MAX_EXACT_INTEGER).all() and (numbers % 1 == 0).all())
    return numbers.astype("int64") if whole else numbers


def _floats(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    check_cells("number", name, values)
    return np.array(values, "float64")


def _truths(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    check_cells("truth value", name, values)
    return np.array(values, "float64" if None in values else "bool")


def _texts(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    check_cells("text", name, values)
    return pd.array(values, dtype="str")


def _categories(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    return pd.Series(_texts(name, values)).astype("category")


def _times(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    moments = _parse_times(name, values, zoned=True, wanted="times with an offset, such as 2026-04-01T03:00:00Z")
    return pd.DatetimeIndex(moments).tz_localize("UTC")


def _zoneless_times(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    return _parse_times(name, values, zoned=False, wanted="times without an offset, such as 2026-04-01T03:00:00")


def _others(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401
    return cast_features({name: "other value"}, pd.DataFrame({name: pd.Series(values, dtype=object)}))[name]


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**64)


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= TEXT_LIMIT)


def _is_truth(value: object) -> bool:
    return value is None or (_is_number(value) and value in (0, 1))


def _parse_times(name: str, values: Sequence[Any], *, zoned: bool, wanted: str) -> Any:  # noqa: ANN401
    moments = [None if value is None else _parse_time(value, zoned=zoned) for value in values]
    wrong = next((place for place, (v, m) in enumerate(zip(values, moments, strict=True)) if m is None is not v), None)
    if wrong is not None:
        raise _wrong_cell(name, values, wrong, wanted)
    return np.array(moments, "datetime64[us]")


def _parse_time(value: object, *, zoned: bool) -> datetime | None:
    """Parses ISO 8601, to UTC if it has a zone; `None` if it is not such a time."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        moment = moment if isinstance(moment, datetime) else None
        if moment is None or (moment.tzinfo is not None) is not zoned:
            return None
        return moment.astimezone(UTC).replace(tzinfo=None) if zoned else moment
    except (ValueError, OverflowError):
        return None


def _check(name: str, values: Sequence[Any], fits: Callable[[Any], bool], wanted: str) -> None:
    if not all(map(fits, values)):
        raise _wrong_cell(name, values, next(at for at, value in enumerate(values) if not fits(value)), wanted)


def _wrong_cell(name: str, values: Sequence[Any], place: int, wanted: str) -> DataError:
    value = values[place]
    shown = (
        json.dumps(value, default=str)
        if isinstance(value, (str, int, float, bool))
        else _TYPE_NAMES.get(type(value), "")
    )
    cut = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
    where = f" in row {place}" if len(values) > 1 else ""
    return DataError(f"column {name!r} holds {cut or 'an unknown value'}{where}: send {wanted}")


def _cells(kind: str, name: str, values: Sequence[Any], pii: Collection[str]) -> Any:  # noqa: ANN401
    try:
        return parse_cells(kind, name, values)
    except DataError:
        if name not in pii:
            raise
        raise DataError(f"column {name!r} holds a value that is not a {kind}: send the type of the table") from None


_PARSERS: dict[str, Callable[[str, Sequence[Any]], Any]] = {
    "integer": _integers,
    "number": _floats,
    "truth value": _truths,
    "text": _texts,
    "category": _categories,
    "time": _times,
    "zoneless time": _zoneless_times,
    "other value": _others,
}
_NUMBERS = (_is_number, "numbers, null where one is missing")
_TEXTS = (_is_text, "texts of at most a million characters, null where one is missing")
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "truth value": (_is_truth, "true or false"),
    "text": _TEXTS,
    "category": _TEXTS,
}
"""The check of each value of a kind, and the values that are required instead of an invalid one."""
