"""Rows that a request brings as an Arrow table: checked by type and cell, and never unpacked without bound."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from refit.data.families import family_of, value_type
from refit.errors import DataError
from refit.inference.feature_schema import conformed
from refit.inference.request_rows import Received, Wanted, require
from refit.inference.row_keys import known_by

_UNFIT = (pa.types.is_date, pa.types.is_string_view, pa.types.is_binary_view)
MOST_UNPACKED = 64 << 20
"""The most bytes of text of one column, when each row has its own."""


def received_table(wanted: Wanted, table: pa.Table) -> Received:
    """Takes an Arrow table.

    Args:
        wanted: What the model knows.
        table: The rows, at least one, validated.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing or of a type that no model takes, or a cell is NaN or infinite.
        ModelError: If a column is of another kind than the model knows.
    """
    require(wanted.features, table.column_names)
    given = {name: kind for name, kind in wanted.others.items() if name in table.column_names}
    columns = {name: _values(name, table) for name in dict.fromkeys([*wanted.features, *given])}
    try:
        frame = pa.table(columns).to_pandas(ignore_metadata=True)
        others = {name: known_by(kind, name, columns[name].to_pylist(), wanted.pii) for name, kind in given.items()}
        return Received(conformed(wanted.features, frame), others, None)
    except (pa.ArrowException, ValueError, OverflowError) as fault:
        raise DataError(f"the rows hold values that no model takes ({fault}): send numbers, texts and times") from fault


def _unpacked(values: pa.ChunkedArray) -> int:
    """Counts the bytes of a column whose values are sent once and named often: a small body may hold gigabytes."""
    if family_of(values.type) != "text":
        return 0
    sizes = (pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0 for chunk in values.chunks)
    return sum(sizes)


def _values(name: str, table: pa.Table) -> pa.ChunkedArray:
    if table.column_names.count(name) > 1:
        raise DataError(f"the column {name!r} is there more than once: send it once")
    values = table.column(name)
    kind = value_type(values.type)
    if family_of(kind) == "unknown" or any(test(kind) for test in _UNFIT):
        raise DataError(f"the column {name!r} is of the Arrow type {values.type}: send numbers, texts or times")
    if pa.types.is_dictionary(values.type) and _unpacked(values) > MOST_UNPACKED:
        raise DataError(f"the column {name!r} holds more than {MOST_UNPACKED:,} bytes of text: send fewer rows")
    if pa.types.is_decimal(kind):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type) and pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise DataError(f"the column {name!r} holds NaN or an infinite number: send null for a missing value")
    return values
