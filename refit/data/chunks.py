"""Conversion of loaded frames to Arrow tables of bounded size, without loss of any cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from refit.project import Frame

FRAMES = (pd.DataFrame, pa.Table, pa.RecordBatch)
"""The types of frames that a load may return."""


def split_frame(frame: Frame, rows: int) -> Iterator[pa.Table]:
    """Splits a frame into tables.

    Args:
        frame: A frame from a load.
        rows: The most rows of a table.

    Yields:
        The rows in their order; nothing for an empty frame.
    """
    for start in range(0, len(frame) if isinstance(frame, pd.DataFrame) else frame.num_rows, rows):
        if isinstance(frame, pd.DataFrame):
            yield _to_table(frame.iloc[start : start + rows])
        else:
            yield _plain_table(frame).slice(start, rows)


def merge_tables(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Merges neighbouring tables with the same schema, since each table is validated and written separately.

    Args:
        tables: Tables of any size.
        rows: The most rows of a merged table.

    Yields:
        The same rows in the same order.
    """
    held: list[pa.Table] = []
    for table in tables:
        full = sum(part.num_rows for part in held) + table.num_rows > rows
        if held and (full or held[0].schema != table.schema):
            yield pa.concat_tables(held)
            held = []
        held.append(table)
    if held:
        yield pa.concat_tables(held)


def to_arrow(cells: pd.Series) -> pa.Array:
    """Converts a column to Arrow; cells without a common Arrow type become text.

    Args:
        cells: One column of a frame; values that pandas considers missing are missing.

    Returns:
        As many cells. `cast_table` parses text if the table's column has another type.
    """
    if cells.dtype == object and not _is_uniform(cells[cells.notna()]):
        return _texts(cells)
    try:
        found = pa.array(cells, from_pandas=True)
        return _texts(cells) if isinstance(found.type, pa.UuidType) else found
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # a dtype or cell without an Arrow type
        return _texts(cells)


def _plain_table(frame: pa.Table | pa.RecordBatch) -> pa.Table:
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_batches([frame])
    for place, field in enumerate(table.schema):
        if isinstance(field.type, pa.UuidType):
            texts = pa.array([None if cell is None else str(cell) for cell in table[place].to_pylist()], pa.string())
            table = table.set_column(place, field.name, texts)
    return table.replace_schema_metadata(None)


def _to_table(frame: pd.DataFrame) -> pa.Table:
    columns = [to_arrow(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def _is_uniform(cells: pd.Series) -> bool:
    """Returns whether Arrow would keep every cell as it is; it would read `b"a"` and `"a"` as one type, for example."""
    kinds = {type(cell) for cell in cells}
    if all(issubclass(kind, int | float | np.integer | np.floating) and kind is not bool for kind in kinds):
        return True
    zoned = {cell.tzinfo is not None for cell in cells if isinstance(cell, datetime)}
    return len(kinds) == 1 and len(zoned) <= 1


def _texts(cells: pd.Series) -> pa.Array:
    texts = [None if missing else _text(cell) for cell, missing in zip(cells, cells.isna(), strict=True)]
    return pa.array(texts, pa.string())


def _text(cell: object) -> str:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace")
    text = cell.isoformat() if isinstance(cell, datetime) else str(cell)
    return text.encode("utf-8", "backslashreplace").decode()
