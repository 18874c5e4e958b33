"""Quarantined rows as text: lossless encoding, decoding for a replay, ids, and masking of personal data."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from refit.data.contract import MASK, Fault
from refit.windows import format_time

SUPERSEDED = "superseded"
"""The rule of a row whose key occurs again later in its batch; such a row is never replayed."""
NOT_LOADED = "not_loaded"
"""Marks, among the reasons, a row from a file or table that was to be scored. It does not belong in the project's
table, so it is never replayed."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One quarantined row."""

    id: str
    """A hash of its content, and its number among equal rows of the batch."""
    quarantined_at: datetime
    """The end of the ingest that rejected it, UTC."""
    event_time: datetime | None
    """Its event time, UTC; `None` if missing or unreadable."""
    reasons: tuple[dict[str, str], ...]
    """Rule, column and value of each fault."""
    row: str
    """Its cells as JSON, as they were loaded."""

    def as_json(self) -> dict[str, Any]:
        """Returns the row as JSON values.

        Returns:
            The fields, with the cells under `row`.
        """
        return {
            "id": self.id,
            "quarantined_at": self.quarantined_at.isoformat(),
            "event_time": self.event_time.isoformat() if self.event_time else None,
            "reasons": list(self.reasons),
            "row": json.loads(self.row),
        }

    def __str__(self) -> str:
        reasons = "; ".join(f"{reason['rule']} on {reason['column']}: {reason['value']}" for reason in self.reasons)
        return f"{format_time(self.event_time) if self.event_time else 'no event time'}  {reasons}"


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """The counts of one replay of the quarantine."""

    readmitted: int
    """Rows that are in the table now."""
    remaining: int
    """Rows that are still quarantined."""


def write_reasons(faults: Iterable[Fault]) -> str:
    """Writes the reasons for a rejection as JSON.

    Args:
        faults: All faults of the row.

    Returns:
        A JSON list of rule, column and value.
    """
    found = [{"rule": fault.rule, "column": fault.column, "value": fault.value} for fault in faults]
    return json.dumps(found, ensure_ascii=False)


def encode_rows(rows: pa.Table) -> list[str]:
    """Encodes rows as JSON without loss.

    Args:
        rows: Rows as they were loaded.

    Returns:
        One object per row. Values that JSON lacks are objects with one key: `$float` for NaN and infinities, `$bytes`
        in hexadecimal digits for bytes that are not text. Times, dates and decimals are their exact text.
    """
    columns = {name: _encode_column(column) for name, column in zip(rows.column_names, rows.columns, strict=True)}
    return [
        json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False)
        for cells in zip(*columns.values(), strict=True)
    ]


def decode_rows(texts: Sequence[str]) -> Iterator[tuple[list[int], pa.Table]]:
    """Decodes the rows of `encode_rows`, so that they can be validated as if they had been loaded again.

    Args:
        texts: One JSON object per row.

    Yields:
        Positions among the texts, and a table of these rows. Rows are grouped by the types of their cells, since in a
        shared column a number next to a text would become text.
    """
    import pandas as pd

    from refit.data.chunks import to_arrow

    alike: defaultdict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    rows = [{name: _decode_cell(cell) for name, cell in json.loads(text).items()} for text in texts]
    for place, row in enumerate(rows):
        alike[tuple((name, type(cell).__name__) for name, cell in row.items())].append(place)
    for kinds, places in alike.items():
        cells = [pd.Series([rows[place][name] for place in places], dtype=object) for name, _ in kinds]
        yield places, pa.Table.from_arrays([to_arrow(column) for column in cells], names=[name for name, _ in kinds])


class RowIds:
    """Assigns ids to the rejected rows of one batch; the same rows get the same ids in the next batch."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def assign(self, text: str, fitted: str = "{}") -> str:
        """Assigns the id of one row.

        Args:
            text: The row, from `encode_rows`.
            fitted: The cells that fit the table, from `encode_rows`; other cells are null or absent.

        Returns:
            An id that depends on the content alone, not on the types that other rows of the piece gave its columns.
        """
        fits = {name: cell for name, cell in json.loads(fitted).items() if cell is not None}
        unfit = {name: _plain_text(cell) for name, cell in json.loads(text).items() if name not in fits}
        cells = {name: _plain_number(cell) for name, cell in fits.items()} | unfit
        digest = blake2b(json.dumps(cells, sort_keys=True).encode(), digest_size=16).hexdigest()
        self._seen[digest] += 1
        return f"{digest}-{self._seen[digest]}"


def mask_value(pii: Collection[str], columns: str, value: str) -> str:
    """Masks a value of a personal column.

    Args:
        pii: The columns that identify a person.
        columns: The column of the value; several are joined by commas, as their values are.
        value: The value as text.

    Returns:
        The value, or the mask.

    Example:
        >>> mask_value(("email",), "email,at", "ada@example.org, 2026-01-01")
        '***'
    """
    return MASK if set(columns.split(",")) & set(pii) else value


def mask_row(pii: Collection[str], row: RejectedRow) -> RejectedRow:
    """Masks the personal columns of a quarantined row.

    Args:
        pii: The columns that identify a person.
        row: The row.

    Returns:
        The same row without values of these columns in its reasons and cells.
    """
    reasons = tuple({**one, "value": mask_value(pii, one["column"], one["value"])} for one in row.reasons)
    cells = {name: MASK if name in pii else cell for name, cell in json.loads(row.row).items()}
    return replace(row, reasons=reasons, row=json.dumps(cells, ensure_ascii=False))


def describe_masked_error(pii: Collection[str], fault: BaseException) -> str:
    """Describes an error without its message, which may contain a personal value.

    Args:
        pii: The columns that identify a person.
        fault: The error.

    Returns:
        Its type, and why the message is hidden.
    """
    return f"{type(fault).__name__} (message hidden: it may contain a value of {', '.join(pii)})"


def _encode_column(column: pa.ChunkedArray) -> list[Any]:
    from refit.data.casting import family_of, value_type

    kind = value_type(column.type)
    column = column.cast(kind)
    if pa.types.is_floating(kind):
        return [_encode_float(cell) for cell in column.to_pylist()]
    if family_of(kind) == "text":  # even a text column may hold invalid UTF-8: Parquet does not check
        return [_encode_bytes(cell) for cell in column.cast(pa.large_binary()).to_pylist()]
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return [None if cell is None else str(cell) for cell in column.to_pylist()]
    if pa.types.is_timestamp(kind) and kind.tz:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    native = (pa.types.is_integer, pa.types.is_boolean)
    cells: list[Any] = (column if any(test(kind) for test in native) else column.cast(pa.string())).to_pylist()
    return cells


def _encode_float(cell: float | None) -> float | dict[str, str] | None:
    return cell if cell is None or math.isfinite(cell) else {"$float": repr(cell)}


def _encode_bytes(cell: bytes | None) -> str | dict[str, str] | None:
    if cell is None:
        return None
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return {"$bytes": cell.hex()}


def _decode_cell(cell: object) -> object:
    if not isinstance(cell, dict):
        return cell
    ((kind, text),) = cell.items()
    return float(text) if kind == "$float" else bytes.fromhex(text)


def _plain_text(cell: object) -> str | None:
    """Writes a cell whose type depends on its neighbours in the piece."""
    return None if cell is None else str(_plain_number(_decode_cell(cell)))


def _plain_number(cell: object) -> object:
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
