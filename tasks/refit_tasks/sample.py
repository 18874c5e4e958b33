"""A few of a project's newest rows as its table would hold them, without a table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.chunks import FRAMES, cut
from refit.data.schema import conform
from refit.errors import LoadFailed, NotEnoughData
from refit.project import Project, Rows
from refit.windows import BEGINNING, Window
from refit_tasks.storage.snapshot_rows import frame

_SPANS = (timedelta(days=30), timedelta(days=365), None)
"""How far back to look for rows, one after the other; `None` is to the beginning."""
_LOADED = 50_000
"""After so many rows no more is asked of a load: the newest come first only where a short span is enough."""


def load_sample(definition: Project, as_of: datetime, labelled: int) -> list[pa.Table]:
    """Loads rows from before a moment, from farther and farther back until enough of them have a label.

    Args:
        definition: The project.
        as_of: The end of every window that is loaded.
        labelled: How many labelled rows are enough.

    Returns:
        The pieces that the load gave, as they are; some tens of thousands of rows at most.

    Raises:
        NotEnoughData: If there is no row at all.
        LoadFailed: If the load gives something else than frames.
    """
    pieces: list[pa.Table] = []
    for span in _SPANS:
        pieces = _loaded(definition.load(Window(as_of - span if span else BEGINNING, as_of)))
        if sum(_labels(piece, definition.target) for piece in pieces) >= labelled:
            break
    if not pieces:
        raise NotEnoughData(f"the load gives no row from before {as_of.isoformat()}: correct it, or give a later time")
    return pieces


def as_stored(definition: Project, pieces: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    """Gives rows as they would be read back from the project's table, in the order of their times.

    Args:
        definition: The project.
        pieces: Rows as they were loaded.
        schema: The table's schema.

    Returns:
        The rows that have a time; cells that do not fit their column are missing.
    """
    rows = frame(pa.concat_tables([conform(piece, schema)[0] for piece in pieces]))
    return rows.dropna(subset=[definition.timestamp]).sort_values(definition.timestamp, ignore_index=True)


def _loaded(rows: Rows) -> list[pa.Table]:
    pieces: list[pa.Table] = []
    for given in [rows] if isinstance(rows, FRAMES) or not isinstance(rows, Iterable) else rows:
        if not isinstance(given, FRAMES):
            raise LoadFailed(f"load() gives a {type(given).__name__}: give a frame, or an iterator of frames")
        pieces += islice(cut(given, _LOADED), 1)
        if sum(piece.num_rows for piece in pieces) >= _LOADED:
            break
    return pieces


def _labels(piece: pa.Table, target: str) -> int:
    if target not in piece.column_names:
        return 0
    column = piece[target]
    return len(column) - int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)
