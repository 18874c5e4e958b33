"""Rows that a request brings: what the model was fitted on, or one sentence that names the column.

Stricter than the door in `refit.inference.feature_schema`, which knows only dtypes: here a NaN is no value, and a
text is no number.
What comes out is what that door makes of the same values.

Rows that a request brings as an Arrow table: checked by type and cell, and never unpacked without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import family_of, value_type
from refit.errors import DataError
from refit.inference.feature_schema import cast_features
from refit.inference.json_columns import check_cells, parse_cells, parse_key_column

Cells = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What a model's rows consist of."""

    features: Mapping[str, str]
    """From name to kind, in the model's order, as `refit.inference.feature_schema.feature_kinds` names them."""
    others: Mapping[str, str]
    """What a row may have beside them to be known by: the project's key and timestamp, from name to kind."""
    pii: tuple[str, ...] = ()
    """Those that identify a person, whose values no message shows."""

    def __contains__(self, name: object) -> bool:
        return name in self.features or name in self.others


@dataclass(frozen=True)
class RequestRows:
    """Rows that a model can be asked about."""

    frame: pd.DataFrame | None
    """The features as the model takes them; `None` of JSON, of which they are made when somebody wants them."""
    others: Mapping[str, pa.Array]
    """The key and the timestamp, as far as they were sent."""
    cells: Cells | None
    """All of it as JSON brought it; `None` of an Arrow table."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The features, from name to kind."""

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()))) if self.frame is None and self.cells else len(self.features)

    @cached_property
    def features(self) -> pd.DataFrame:
        """As the model takes them."""
        if self.frame is not None:
            return self.frame
        cells = self.cells or {}
        return pd.DataFrame(
            {name: parse_cells(kind, name, cells[name]) for name, kind in self.kinds.items()}, copy=False
        )


def parse_rows(wanted: FeatureSpec, rows: Sequence[Mapping[str, Any]]) -> RequestRows:
    """Takes rows as JSON objects.

    Args:
        wanted: What the model knows.
        rows: The rows, at least one.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing, or a cell is not what the model knows.
    """
    cells = {name: _column(name, rows, wanted.features) for name in wanted.features}
    for name in wanted.others:
        if name not in cells and any(name in row for row in rows):
            cells[name] = [row.get(name) for row in rows]
    return parse_columns(wanted, cells)


def parse_columns(wanted: FeatureSpec, cells: Cells) -> RequestRows:
    """Takes columns of JSON values.

    Args:
        wanted: What the model knows.
        cells: From name to values, of the same number, at least one.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing, or a cell is not what the model knows.
    """
    require_features(wanted.features, cells)
    for name, kind in wanted.features.items():
        check_cells(kind, name, cells[name])
    others = {
        name: parse_key_column(kind, name, cells[name], wanted.pii)
        for name, kind in wanted.others.items()
        if name in cells
    }
    return RequestRows(None, others, cells, wanted.features)


def join_requests(wanted: FeatureSpec, parts: Sequence[Cells]) -> RequestRows:
    """Joins rows that were sent as JSON: of many small requests, one frame is made once.

    Args:
        wanted: What they were held against.
        parts: The cells of some requests, at least one.

    Returns:
        All rows, in that order.
    """
    counts = [len(next(iter(cells.values()))) for cells in parts]
    names = [name for name in dict.fromkeys((*wanted.features, *wanted.others)) if any(name in part for part in parts)]
    together = {
        name: [
            value
            for cells, count in zip(parts, counts, strict=True)
            for value in (cells[name] if name in cells else [None] * count)
        ]
        for name in names
    }
    return parse_columns(wanted, together)


def dummy_row(wanted: FeatureSpec) -> RequestRows:
    """Makes one row up.

    Args:
        wanted: What the model knows.

    Returns:
        A row whose cells are of the right kinds, and of no meaning.
    """
    return parse_columns(wanted, {name: [_DUMMY_VALUES.get(kind)] for name, kind in wanted.features.items()})


_DUMMY_VALUES = {
    "integer": 1,
    "number": 0.5,
    "truth value": True,
    "text": "refit",
    "category": "refit",
    "time": "2026-01-01T00:00:00Z",
    "zoneless time": "2026-01-01T00:00:00",
}


def require_features(features: Mapping[str, str], found: Mapping[str, Any] | Sequence[str]) -> None:
    """Insists on every column that the model was fitted on.

    Args:
        features: The model's features.
        found: The columns that were sent.

    Raises:
        DataError: If one is missing.
    """
    missing = next((name for name in features if name not in found), None)
    if missing is not None:
        raise _missing(missing, features)


def _missing(name: str, features: Iterable[str], row: str = "") -> DataError:
    return DataError(
        f"the column {name!r} is missing{row}: send every one of {', '.join(features)}, null where unknown"
    )


def _column(name: str, rows: Sequence[Mapping[str, Any]], features: Iterable[str]) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        place = next(place for place, row in enumerate(rows) if name not in row)
        raise _missing(name, features, f" in row {place}" if len(rows) > 1 else "") from None


_UNSUPPORTED = (pa.types.is_date, pa.types.is_string_view, pa.types.is_binary_view)
MAX_UNPACKED_BYTES = 64 << 20
"""The most bytes of text of one column, when each row has its own."""


def parse_table(wanted: FeatureSpec, table: pa.Table) -> RequestRows:
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
    require_features(wanted.features, table.column_names)
    given = {name: kind for name, kind in wanted.others.items() if name in table.column_names}
    columns = {name: _values(name, table) for name in dict.fromkeys([*wanted.features, *given])}
    try:
        frame = pa.table(columns).to_pandas(ignore_metadata=True)
        others = {
            name: parse_key_column(kind, name, columns[name].to_pylist(), wanted.pii) for name, kind in given.items()
        }
        return RequestRows(cast_features(wanted.features, frame), others, None)
    except (pa.ArrowException, ValueError, OverflowError) as fault:
        raise DataError(f"the rows hold values that no model takes ({fault}): send numbers, texts and times") from fault


def _count_unpacked_bytes(values: pa.ChunkedArray) -> int:
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
    if family_of(kind) == "unknown" or any(test(kind) for test in _UNSUPPORTED):
        raise DataError(f"the column {name!r} is of the Arrow type {values.type}: send numbers, texts or times")
    if pa.types.is_dictionary(values.type) and _count_unpacked_bytes(values) > MAX_UNPACKED_BYTES:
        raise DataError(f"the column {name!r} holds more than {MAX_UNPACKED_BYTES:,} bytes of text: send fewer rows")
    if pa.types.is_decimal(kind):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type) and pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise DataError(f"the column {name!r} holds NaN or an infinite number: send null for a missing value")
    return values
