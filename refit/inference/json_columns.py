"""The cells of a column as JSON brings them, made into what a model was fitted on; one sentence on the first wrong one.

The column that comes out is the one that `refit.inference.feature_schema.cast_features` makes of the same values. It is
made directly, since a request of one row spends more time in pandas than in most models.

What a row that somebody sends is known by: the cells of the project's key.
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

from refit.data.casting import Family, family_of
from refit.errors import DataError
from refit.inference.feature_schema import MAX_EXACT_INTEGER, cast_features

_KINDS: dict[Family, str] = {
    "number": "number",
    "text": "text",
    "truth value": "truth value",
    "time with a zone": "time",
    "time without a zone": "zoneless time",
}
"""What each family of Arrow types is called in training rows; whole numbers have a kind of their own."""
_MAX_SHOWN = 60
"""How much of a value a sentence shows."""
_MAX_TEXT = 1_000_000
"""The most characters that one cell of text may have; tables hold no longer ones either."""


def kind_of(field: pa.Field) -> str:
    """Names the kind of a table's column.

    Args:
        field: The column, of a project's table.

    Returns:
        As `refit.inference.feature_schema.feature_kinds` names it.
    """
    return "integer" if pa.types.is_integer(field.type) else _KINDS.get(family_of(field.type), "text")


def parse_cells(kind: str, name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 - arrays of numpy and of pandas
    """Makes a column.

    Args:
        kind: What it was in training, from `refit.inference.feature_schema.feature_kinds`.
        name: Its name, for the message.
        values: Its JSON values, `None` where one is missing.

    Returns:
        An array or a series, to be put into a frame.

    Raises:
        DataError: If a value is of another kind, NaN or infinite.
    """
    return _PARSERS[kind](name, values)


def check_cells(kind: str, name: str, values: Sequence[Any]) -> None:
    """Insists on what a column is made of, and makes none where that can be told without.

    Args:
        kind: What it was in training, from `refit.inference.feature_schema.feature_kinds`.
        name: Its name, for the message.
        values: Its JSON values, `None` where one is missing.

    Raises:
        DataError: If a value is of another kind, NaN or infinite.
    """
    if kind == "integer" and set(map(type, values)) == {int}:
        _check(name, values, *_LONG)
    elif kind in _CHECKS:
        _check(name, values, *_CHECKS[kind])
    else:
        _PARSERS[kind](name, values)


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


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**64)


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT)


def _is_truth(value: object) -> bool:
    return value is None or (_is_number(value) and value in (0, 1))


_NUMBERS = (_is_number, "numbers, null where one is missing")
_TEXTS = (_is_text, "texts of at most a million characters, null where one is missing")
_LONG = (lambda value: -(2**63) <= value < 2**63, "whole numbers of at most 64 bits")
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "truth value": (_is_truth, "true or false"),
    "text": _TEXTS,
    "category": _TEXTS,
}
"""For a kind what each value is held against, and what is asked for in the place of another one."""


def _parse_times(name: str, values: Sequence[Any], *, zoned: bool, wanted: str) -> Any:  # noqa: ANN401
    moments = [None if value is None else _parse_time(value, zoned=zoned) for value in values]
    wrong = next((place for place, (v, m) in enumerate(zip(values, moments, strict=True)) if m is None is not v), None)
    if wrong is not None:
        raise _wrong_cell(name, values, wrong, wanted)
    return np.array(moments, "datetime64[us]")


def _parse_time(value: object, *, zoned: bool) -> datetime | None:
    """Reads ISO 8601, in UTC where it has a zone; nothing if it is no such time."""
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
    return DataError(f"the column {name!r} holds {cut or 'an unknown value'}{where}: send {wanted}")


_TYPE_NAMES: dict[type, str] = {list: "a list", dict: "an object", type(None): "null"}


def parse_key_column(kind: str, name: str, values: Sequence[Any], pii: Collection[str] = ()) -> pa.Array:
    """Gives a column of the key, in which a whole number stays one though others are missing.

    Args:
        kind: What it is in the project's table.
        name: Its name, for the message.
        values: Its cells, `None` where one is missing.
        pii: The columns whose values no message shows.

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
        raise DataError(f"the column {name!r} holds a number that is not whole: send whole numbers")
    return pa.array([None if value is None else int(value) for value in values], pa.int64())


def _cells(kind: str, name: str, values: Sequence[Any], pii: Collection[str]) -> Any:  # noqa: ANN401
    try:
        return parse_cells(kind, name, values)
    except DataError:
        if name not in pii:
            raise
        raise DataError(f"the column {name!r} holds a value that is no {kind}: send what its table has") from None
