"""Which values may share a column: the families of Arrow types, and the one type in which a table stores each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.types as is_

Family = Literal["number", "text", "truth value", "time with a zone", "time without a zone", "nothing", "unknown"]

STORED: dict[Family, pa.DataType] = {
    "number": pa.float64(),
    "text": pa.string(),
    "truth value": pa.bool_(),
    "time with a zone": pa.timestamp("us", tz="UTC"),
    "time without a zone": pa.timestamp("us"),
    "nothing": pa.string(),
}
"""The type in which a table stores a family; numbers that are all whole are stored as `int64` instead."""

_TEXTS: tuple[Callable[[pa.DataType], bool], ...] = (
    is_.is_string,
    is_.is_large_string,
    is_.is_string_view,
    is_.is_binary,
    is_.is_large_binary,
    is_.is_binary_view,
)
_NUMBERS: tuple[Callable[[pa.DataType], bool], ...] = (is_.is_integer, is_.is_floating, is_.is_decimal)


def value_type(kind: pa.DataType) -> pa.DataType:
    """Gives the type of a column's values: a category's own type, any other type as it is.

    Args:
        kind: Any Arrow type.

    Returns:
        The value type of a dictionary, else `kind`.
    """
    return kind.value_type if is_.is_dictionary(kind) else kind


def family_of(kind: pa.DataType) -> Family:
    """Tells which family an Arrow type belongs to.

    Args:
        kind: Any Arrow type; a category counts as its values, bytes count as text.

    Returns:
        The family; `unknown` for what a table cannot hold: lists, structs, durations, times of day.
    """
    kind = value_type(kind)
    if is_.is_timestamp(kind):
        return "time without a zone" if kind.tz is None else "time with a zone"
    if any(test(kind) for test in _NUMBERS):
        return "number"
    if any(test(kind) for test in _TEXTS):
        return "text"
    if is_.is_date(kind):
        return "time without a zone"
    return "truth value" if is_.is_boolean(kind) else "nothing" if is_.is_null(kind) else "unknown"
