"""Rows of a request, as JSON or Arrow, checked and converted to the features of a model.

Stricter than `refit.inference.feature_schema`, which checks only dtypes: NaN is rejected and texts are not parsed as
numbers. Valid rows give the same frame in both. An Arrow table is checked by type and cell; what its dictionaries
unpack to is measured first, by `measure_table`.
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
_DUMMY_VALUES = {
    "integer": 1,
    "number": 0.5,
    "truth value": True,
    "text": "refit",
    "category": "refit",
    "time": "2026-01-01T00:00:00Z",
    "zoneless time": "2026-01-01T00:00:00",
}
_UNSUPPORTED = (pa.types.is_date, pa.types.is_string_view, pa.types.is_binary_view)
_OBJECT_BYTES = 72
"""The bytes of an object of Python, beside its characters."""
_NUMBER_BYTES = 32
"""The bytes of a number in a frame and in its copies while it is built."""
_CHARACTER_BYTES = 4
"""The most bytes of a character of Python, for each byte of UTF-8."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The columns of a model's rows."""

    features: Mapping[str, str]
    """Features and their kinds, in the model's order, as `refit.inference.feature_schema.feature_kinds` names them."""
    others: Mapping[str, str]
    """Further columns that identify a row: the project's key and timestamp, and their kinds."""
    pii: tuple[str, ...] = ()
    """The columns that identify a person, whose values are not shown in messages."""

    def __contains__(self, name: object) -> bool:
        return name in self.features or name in self.others


@dataclass(frozen=True)
class RequestRows:
    """Rows that a model can predict."""

    frame: pd.DataFrame | None
    """The features as the model takes them; `None` for JSON, which is converted on first use."""
    others: Mapping[str, pa.Array]
    """The key and the timestamp, if they were sent."""
    cells: Cells | None
    """All columns as JSON values; `None` for an Arrow table."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The features and their kinds."""

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()))) if self.frame is None and self.cells else len(self.features)

    @cached_property
    def features(self) -> pd.DataFrame:
        """The features as the model takes them."""
        if self.frame is not None:
            return self.frame
        cells = self.cells or {}
        return pd.DataFrame(
            {name: parse_cells(kind, name, cells[name]) for name, kind in self.kinds.items()}, copy=False
        )


def parse_rows(spec: FeatureSpec, rows: Sequence[Mapping[str, Any]]) -> RequestRows:
    """Parses rows from JSON objects.

    Args:
        spec: The columns of the model's rows.
        rows: The rows, at least one.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing, or a cell has the wrong kind.
    """
    cells = {name: _column(name, rows, spec.features) for name in spec.features}
    for name in spec.others:
        if name not in cells and any(name in row for row in rows):
            cells[name] = [row.get(name) for row in rows]
    return parse_columns(spec, cells)


def parse_columns(spec: FeatureSpec, cells: Cells) -> RequestRows:
    """Parses rows from JSON columns.

    Args:
        spec: The columns of the model's rows.
        cells: Names and values, all of the same length, at least one.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing, or a cell has the wrong kind.
    """
    require_features(spec.features, cells)
    for name, kind in spec.features.items():
        check_cells(kind, name, cells[name])
    others = {
        name: parse_key_column(kind, name, cells[name], spec.pii) for name, kind in spec.others.items() if name in cells
    }
    return RequestRows(None, others, cells, spec.features)


def join_requests(spec: FeatureSpec, parts: Sequence[Cells]) -> RequestRows:
    """Joins the JSON rows of several requests, so that one frame is built for many small requests.

    Args:
        spec: The columns of the model's rows.
        parts: The cells of some requests, at least one.

    Returns:
        All rows, in that order.
    """
    counts = [len(next(iter(cells.values()))) for cells in parts]
    names = [name for name in dict.fromkeys((*spec.features, *spec.others)) if any(name in part for part in parts)]
    together = {
        name: [
            value
            for cells, count in zip(parts, counts, strict=True)
            for value in (cells[name] if name in cells else [None] * count)
        ]
        for name in names
    }
    return parse_columns(spec, together)


def dummy_row(spec: FeatureSpec) -> RequestRows:
    """Returns an artificial row.

    Args:
        spec: The columns of the model's rows.

    Returns:
        A row whose cells have the right kinds and no meaning.
    """
    return parse_columns(spec, {name: [_DUMMY_VALUES.get(kind)] for name, kind in spec.features.items()})


def require_features(features: Mapping[str, str], found: Mapping[str, Any] | Sequence[str]) -> None:
    """Checks that all features are present.

    Args:
        features: The model's features.
        found: The columns that were sent.

    Raises:
        DataError: If one is missing.
    """
    missing = next((name for name in features if name not in found), None)
    if missing is not None:
        raise _missing(missing, features)


def parse_table(spec: FeatureSpec, table: pa.Table) -> RequestRows:
    """Parses rows from an Arrow table.

    Args:
        spec: The columns of the model's rows.
        table: The rows, at least one, validated; the caller has bounded what they unpack to.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing or of an unsupported type, or a cell is NaN or infinite.
        ModelError: If a column is of another kind than the model's feature.
    """
    require_features(spec.features, table.column_names)
    sent = {name: kind for name, kind in spec.others.items() if name in table.column_names}
    columns = {name: _values(name, table) for name in dict.fromkeys([*spec.features, *sent])}
    try:
        frame = pa.table(columns).to_pandas(ignore_metadata=True)
        others = {
            name: parse_key_column(kind, name, columns[name].to_pylist(), spec.pii) for name, kind in sent.items()
        }
        return RequestRows(cast_features(spec.features, frame), others, None)
    except (pa.ArrowException, ValueError, OverflowError) as fault:
        raise DataError(f"the rows hold unsupported values ({fault}): send numbers, texts and times") from fault


def measure_table(spec: FeatureSpec, table: pa.Table) -> int:
    """Gives an upper bound of the memory that the columns of a model take when its rows are parsed.

    Args:
        spec: The columns of the model's rows.
        table: The rows, validated; their dictionaries may be much smaller than what they stand for.

    Returns:
        Bytes.
    """
    names = [name for name in table.column_names if name in spec]
    return sum(_measure_column(table.column(name)) for name in dict.fromkeys(names) if names.count(name) == 1)


def _missing(name: str, features: Iterable[str], row: str = "") -> DataError:
    return DataError(
        f"column {name!r} is missing{row}: send all of {', '.join(features)}, with null for unknown values"
    )


def _column(name: str, rows: Sequence[Mapping[str, Any]], features: Iterable[str]) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        place = next(place for place, row in enumerate(rows) if name not in row)
        raise _missing(name, features, f" in row {place}" if len(rows) > 1 else "") from None


def _measure_column(values: pa.ChunkedArray) -> int:
    if family_of(values.type) == "number":
        return _NUMBER_BYTES * len(values)
    return _OBJECT_BYTES * len(values) + _CHARACTER_BYTES * sum(_count_text(chunk) for chunk in values.chunks)


def _count_text(values: pa.Array) -> int:
    """Counts the bytes of text of an array, those of a dictionary as often as it is referred to."""
    if family_of(values.type) != "text":
        return 0
    if pa.types.is_dictionary(values.type):
        return pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
    return int(values.nbytes)


def _values(name: str, table: pa.Table) -> pa.ChunkedArray:
    if table.column_names.count(name) > 1:
        raise DataError(f"column {name!r} appears more than once: send it once")
    values = table.column(name)
    kind = value_type(values.type)
    if family_of(kind) == "unknown" or any(test(kind) for test in _UNSUPPORTED):
        raise DataError(f"column {name!r} has the Arrow type {values.type}: send numbers, texts or times")
    if pa.types.is_decimal(kind):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type) and pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise DataError(f"column {name!r} holds NaN or an infinite number: send null for a missing value")
    return values
