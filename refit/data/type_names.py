"""The names of the types of a table's columns, as `refit schema` takes them and errors suggest them."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from refit.data.casting import STORED_TYPES, family_of, is_whole, value_type

TypeName = Literal["number", "integer", "text", "boolean", "time", "local-time"]
TYPES: dict[TypeName, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "local-time": pa.timestamp("us"),
}
"""The types of a table's columns by their names on the command line; a local time has no time zone."""


def name_type(kind: pa.DataType) -> str:
    """Names a column's type.

    Args:
        kind: The type of a column of a table.

    Returns:
        The name, as in `TYPES`.
    """
    return next((name for name, known in TYPES.items() if known == kind), str(kind))


def suggest_type(kind: pa.DataType) -> str:
    """Suggests the type of a table's column for values of a batch.

    Args:
        kind: The type of the values in a batch, which a table can store.

    Returns:
        The name of the type that the table would have, as in `TYPES`.

    Example:
        >>> suggest_type(pa.int32()), suggest_type(pa.float32()), suggest_type(pa.date32())
        ('integer', 'number', 'local-time')
    """
    family = family_of(kind)
    whole = family == "number" and is_whole(value_type(kind))
    return name_type(pa.int64() if whole else STORED_TYPES[family])
