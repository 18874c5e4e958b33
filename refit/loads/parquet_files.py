"""Parquet files as one table: one type for a column in all files, and no column for pandas' index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as is_

from refit.loads.readers import read_dataset_pieces, translate_read_errors
from refit.windows import Window

_INDEX = re.compile(r"__index_level_\d+__")
"""The columns in which pandas stores an index without a name."""


def find_common_types(paths: Sequence[str]) -> dict[str, pa.DataType]:
    """Finds the type of each column over all files, whatever their order.

    Args:
        paths: The files.

    Returns:
        The types of the columns that have different ones of one family, such as whole numbers and others.

    Raises:
        LoadFailed: If a file is damaged.
    """
    types = dict[str, dict[pa.DataType, None]]()
    for path in paths:
        with translate_read_errors(path):
            for field in pq.read_schema(path):
                types.setdefault(field.name, {})[field.type] = None
    return {name: kind for name, kinds in types.items() if len(kinds) > 1 and (kind := _unify(list(kinds)))}


def read_parquet_pieces(
    path: str, types: Mapping[str, pa.DataType], window: Window, timestamp: str, piece_rows: int
) -> Iterator[pa.Table]:
    """Reads the rows of a Parquet file that may lie in the window, and rows without a time.

    Args:
        path: The file.
        types: The types of columns that differ between files.
        window: The requested event times.
        timestamp: The column of event times.
        piece_rows: The most rows of a piece.

    Yields:
        The pieces.
    """
    for piece in read_dataset_pieces(ds.dataset(path, format="parquet"), window, timestamp, piece_rows):
        kept = piece.select([place for place, name in enumerate(piece.column_names) if not _INDEX.fullmatch(name)])
        yield _cast_where_exact(kept, {name: kind for name, kind in types.items() if name != timestamp})


def _unify(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """Unifies whole numbers with others, and columns without a value with any; the table's schema does the rest."""
    filled = [kind for kind in kinds if not is_.is_null(kind)]
    if len(filled) == 1:
        return filled[0]
    if not all(is_.is_integer(kind) or is_.is_floating(kind) for kind in filled):
        return None
    return pa.float64() if any(map(is_.is_floating, filled)) else pa.int64()


def _cast_where_exact(piece: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Casts the columns that lose nothing by it; the table's schema decides about the others."""
    for place, name in enumerate(piece.column_names):
        if name in types and piece.column_names.count(name) == 1:
            try:
                piece = piece.set_column(place, name, piece.column(place).cast(types[name]))
            except pa.ArrowException:
                continue
    return piece
