"""Lossless casting of loaded rows to a table's schema, and the families of Arrow types that may share a column.

A storage cast would silently turn 30.9 into 30 in an integer column, and 8 into "8" in a text column. Here such a cell
is a fault. Values count as equal if they are:

- a number that the column's type represents exactly, 3 for 3.0 and 3.0 for 3; a decimal with decimal places becomes
  the nearest double, one without is a whole number;
- text that is exactly a number, true or false, or an ISO 8601 time, in a column of that family: one bad cell in a CSV
  file makes its whole column text, but the other cells are valid. A column of times with a zone requires an offset;
- NaN and a missing value; a category and its text; bytes and the text that they encode in UTF-8;
- a time in another zone or unit; fractions of a microsecond are cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_

from refit.data.contract import Fault
from refit.errors import DataError

TEXT_LIMIT = 1_000_000
"""The most bytes that one cell of text may have."""
_MAX_SHOWN = 200
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d{1,18}$"
_ZONED = r"^\d{4}-\d\d-\d\d[T ]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_LOCAL = r"^\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d){0,2}([.,]\d+)?)?$"
_EXACT = 2**53  # whole numbers up to here are exact as doubles
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # microseconds: the years 1 to 9999, as Python knows
Family = Literal["number", "text", "truth value", "time with a zone", "time without a zone", "nothing", "unknown"]
STORED_TYPES: dict[Family, pa.DataType] = {
    "number": pa.float64(),
    "text": pa.string(),
    "truth value": pa.bool_(),
    "time with a zone": pa.timestamp("us", tz="UTC"),
    "time without a zone": pa.timestamp("us"),
    "nothing": pa.float64(),
}
"""The type in which a table stores each family; a column of integers is stored as `int64` instead.

Most estimators can be fitted on numbers, so a column without any value is one, until its first values come."""
_TEXTS: tuple[Callable[[pa.DataType], bool], ...] = (
    is_.is_string,
    is_.is_large_string,
    is_.is_string_view,
    is_.is_binary,
    is_.is_large_binary,
    is_.is_binary_view,
)
_NUMBERS: tuple[Callable[[pa.DataType], bool], ...] = (is_.is_integer, is_.is_floating, is_.is_decimal)


def cast_table(piece: pa.Table, schema: pa.Schema) -> tuple[pa.Table, list[Fault]]:
    """Casts a piece to the types and the column order of a table.

    Args:
        piece: Rows as they were loaded. Columns that the schema lacks are dropped; columns that the piece lacks become
            null: `compare_schemas` reports whether that is allowed.
        schema: The table's schema, from `unify_schemas`.

    Returns:
        The same number of rows with exactly that schema, and a fault for each cell that became null because it could
        not be cast: `type`, `infinite`, `too_large` for a whole number beyond 64 bits, or `too_long` for more than 1 MB
        of text.
    """
    columns: list[pa.Array] = []
    faults: list[Fault] = []
    for field in schema:
        values = _column_values(piece, field)
        values = values.cast(pa.string()) if family_of(values.type) == former_family(field) else values
        columns.append(_cast_column(values, field.type))
        broken = pc.indices_nonzero(pc.and_(values.is_valid(), columns[-1].is_null())).to_pylist()
        faults += [_describe_fault(values, row, field.name) for row in broken]
    return pa.Table.from_arrays(columns, schema=schema), faults


FORMER = b"refit.former"
"""The metadata of a column that a person set to text: the family of its values until then."""


def former_family(field: pa.Field) -> str:
    """Returns the family of a text column's former values, which a source may still return; empty if it has none.

    Args:
        field: A column of a table.

    Returns:
        The family.
    """
    return str((field.metadata or {}).get(FORMER, b"").decode())


def value_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of a column's values: the type of a category's values, any other type unchanged.

    Args:
        kind: Any Arrow type.

    Returns:
        The value type of a dictionary, else `kind`.
    """
    return kind.value_type if is_.is_dictionary(kind) else kind


def is_whole(kind: pa.DataType) -> bool:
    """Tells whether a type holds whole numbers alone.

    Args:
        kind: Any Arrow type.

    Returns:
        Whether it is an integer, or a decimal without decimal places.
    """
    kind = value_type(kind)
    return bool(is_.is_integer(kind) or (is_.is_decimal(kind) and kind.scale <= 0))


def stored_values(values: pa.Array) -> pa.Array:
    """Returns values in one Arrow type for each family, so that equal cells compare and hash as equal.

    Args:
        values: A column of any type that a table can store: categories, large strings and bytes included.

    Returns:
        Categories as their values, texts as `string`; other values unchanged.

    Raises:
        DataError: If a table cannot store such values.
    """
    kind = value_type(values.type)
    family = family_of(kind)
    if family == "unknown":
        raise DataError(f"values of the type {kind} cannot identify a row: convert them to numbers, texts or times")
    plain = values.cast(kind) if is_.is_dictionary(values.type) else values
    return plain.cast(pa.string()) if family == "text" and not is_.is_string(kind) else plain


def family_of(kind: pa.DataType) -> Family:
    """Returns the family of an Arrow type.

    Args:
        kind: Any Arrow type; categories belong to the family of their values, bytes to text.

    Returns:
        The family; `unknown` for types that a table cannot store: lists, structs, durations, times of day.
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


def _column_values(piece: pa.Table, field: pa.Field) -> pa.Array:
    """Returns a column as one array, with NaN as null and categories as their values."""
    if field.name not in piece.column_names:
        return pa.nulls(piece.num_rows, field.type)
    column = piece.column(field.name)
    values = column.cast(value_type(column.type)).combine_chunks()
    return _keep_where(values, pc.invert(pc.is_nan(values))) if pa.types.is_floating(values.type) else values


def _cast_column(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Casts the values that fit and returns null for the rest."""
    found, wanted = family_of(values.type), family_of(kind)
    values = _cast_texts(values) if found == "text" else values
    if found not in ("text", wanted):
        return pa.nulls(len(values), kind)
    if wanted == "number":
        return _cast_numbers(values, kind)
    if wanted == "truth value":
        return _cast_truth_values(values)
    return values if wanted == "text" else _cast_times(values, kind)


def _keep_where(values: pa.Array, fitting: pa.BooleanArray) -> pa.Array:
    return pc.if_else(pc.coalesce(fitting, pa.scalar(value=False)), values, pa.scalar(None, values.type))


def _cast_texts(values: pa.Array) -> pa.Array:
    """Returns valid UTF-8 up to the length limit, null for the rest."""
    data = values.cast(pa.large_binary())
    data = _keep_where(data, pc.less_equal(pc.binary_length(data), TEXT_LIMIT)).cast(pa.binary())
    try:
        return data.cast(pa.string())
    except pa.ArrowInvalid:  # some cell is invalid; only decoding one by one shows which
        return pa.array([_decode(cell) for cell in data.to_pylist()], pa.string())


def _decode(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _cast_numbers(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_string(values.type):
        return _cast_exact(values, kind)
    texts = pc.utf8_trim_whitespace(values)
    numbers = _cast_exact(_keep_where(texts, pc.match_substring_regex(texts, _NUMBER)).cast(pa.float64()), kind)
    if not pa.types.is_integer(kind):
        return numbers
    return pc.coalesce(_keep_where(texts, pc.match_substring_regex(texts, _WHOLE)).cast(kind), numbers)


def _cast_exact(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns the numbers that are finite and equal in the other type."""
    if pa.types.is_decimal(values.type):
        return _cast_decimals(values, kind)
    fitting = values.is_valid()
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
        fitting = pc.is_finite(values)
        if pa.types.is_integer(kind):
            fitting = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**63))
    elif pa.types.is_floating(kind):
        fitting = pc.and_(pc.greater_equal(values, -_EXACT), pc.less_equal(values, _EXACT))
    elif pa.types.is_uint64(values.type):
        fitting = pc.less(values, pa.scalar(2**63, pa.uint64()))
    return _keep_where(values, fitting).cast(kind)


def _cast_decimals(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Casts decimals: exactly to integers, to the nearest double otherwise."""
    if not pa.types.is_integer(kind):
        return values.cast(kind)
    whole = pc.equal(pc.floor(values), values) if values.type.scale > 0 else values.is_valid()
    digits = _keep_where(values, whole).cast(pa.decimal256(76, max(values.type.scale, 0))).cast(pa.decimal256(76, 0))
    first, last = (pa.scalar(Decimal(bound), digits.type) for bound in (-(2**63), 2**63 - 1))
    fitting = pc.and_(pc.greater_equal(digits, first), pc.less_equal(digits, last))
    return _keep_where(digits, fitting).cast(kind)


def _cast_truth_values(values: pa.Array) -> pa.Array:
    if not pa.types.is_string(values.type):
        return values
    words = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    return pc.equal(_keep_where(words, pc.is_in(words, value_set=pa.array(["true", "false"]))), "true")


def _cast_times(values: pa.Array, kind: pa.DataType) -> pa.Array:
    source = _parse_times(values, zoned=kind.tz is not None) if pa.types.is_string(values.type) else values
    times = source.cast(kind, safe=False)
    whole = times.cast(pa.int64())
    fitting = pc.and_(pc.greater_equal(whole, _FIRST), pc.less_equal(whole, _LAST))
    if pa.types.is_date(source.type) or source.type.unit in ("s", "ms"):  # distant times overflow in the cast
        fitting = pc.and_(fitting, pc.equal(times.cast(source.type, safe=False), source))
    return _keep_where(times, fitting)


def _parse_times(texts: pa.Array, *, zoned: bool) -> pa.Array:
    """Parses ISO 8601: pandas checks the calendar, the regular expressions whether there is an offset."""
    import pandas as pd

    texts = pc.utf8_trim_whitespace(texts)
    fitting = _keep_where(texts, pc.match_substring_regex(texts, _ZONED if zoned else _LOCAL))
    moments = pd.to_datetime(fitting.to_pandas(), format="ISO8601", errors="coerce", utc=zoned)
    return pa.array(moments, pa.timestamp("ns" if moments.dt.unit == "ns" else "us", "UTC" if zoned else None))


def _describe_fault(values: pa.Array, row: int, column: str) -> Fault:
    cell, family = values[row], family_of(values.type)
    if family == "text":
        data = cell.cast(pa.large_binary()).as_py()
        rule, shown = (
            "too_long" if len(data) > TEXT_LIMIT else "type",
            data[:_MAX_SHOWN].decode("utf-8", "backslashreplace"),
        )
    else:
        shown = str(cell if family == "unknown" else cell.cast(pa.string()))[:_MAX_SHOWN]
        rule = "infinite" if shown in ("inf", "-inf") else "too_large" if _is_too_large(cell) else "type"
    return Fault(row=row, rule=rule, column=column, value=shown)


def _is_too_large(cell: pa.Scalar) -> bool:
    """Tells whether a cell is a whole number beyond 64 bits, sign included."""
    kind = cell.type
    if not (pa.types.is_uint64(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0)):
        return False
    return not -(2**63) <= int(cell.as_py()) < 2**63
