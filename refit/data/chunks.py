"""How the frames that a load delivers become Arrow tables, cut into pieces; no cell is lost or changed on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from refit.project import Frame

FRAMES = (pd.DataFrame, pa.Table, pa.RecordBatch)


def split_frame(frame: Frame, rows: int) -> Iterator[pa.Table]:
    """Cuts a frame into tables.

    Args:
        frame: What a load gave.
        rows: The most rows of a table.

    Yields:
        The rows in their order; nothing for a frame without any.
    """
    for start in range(0, len(frame) if isinstance(frame, pd.DataFrame) else frame.num_rows, rows):
        if isinstance(frame, pd.DataFrame):
            yield _to_table(frame.iloc[start : start + rows])
        else:
            yield _plain_table(frame).slice(start, rows)


def merge_tables(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Joins neighbouring tables of one schema, since each costs its own judging and writing.

    Args:
        tables: Tables, small or not.
        rows: The most rows of a joined table.

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
    """Turns a column into Arrow; cells of types that share no Arrow type become text.

    Args:
        cells: One column of a frame; what pandas calls missing is missing.

    Returns:
        As many cells. `cast_table` reads text back where a table's column wants something else.
    """
    if cells.dtype == object and not _is_uniform(cells[cells.notna()]):
        return _texts(cells)
    try:
        return pa.array(cells, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # a dtype or cell that Arrow has no type for
        return _texts(cells)


def _plain_table(frame: pa.Table | pa.RecordBatch) -> pa.Table:
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_batches([frame])
    return table.replace_schema_metadata(None)


def _to_table(frame: pd.DataFrame) -> pa.Table:
    columns = [to_arrow(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def _is_uniform(cells: pd.Series) -> bool:
    """Tells whether Arrow would take every cell for what it is: it reads `b"a"` beside `"a"` as one type, for one."""
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
