"""How the ready-made loads read files and data sets: one piece after the other, and errors in one sentence."""

from __future__ import annotations

import lzma
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from refit.errors import LoadFailed
from refit.windows import Window

if TYPE_CHECKING:
    import sqlalchemy

MARGIN = timedelta(days=1)
"""Sources are asked for this much more on both sides of a window, since what they compare may be a local time or text;
the exact cut comes after."""
_LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Later bounds do not fit into a column of nanoseconds."""
_CUT_SHORT = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What damaged compressed files raise."""


def files(glob: str | Path) -> list[str]:
    """Lists the files that match, sorted by path.

    Args:
        glob: A path with `*`, `?` or `**`; a relative one starts from the working directory.

    Raises:
        LoadFailed: If there is none.
    """
    pattern = Path(glob).expanduser().absolute()
    root = Path(pattern.anchor)
    found = sorted(str(path) for path in root.glob(str(pattern.relative_to(root))) if path.is_file())
    if not found:
        raise LoadFailed(f"no file matches {pattern}: correct the path, and write it as an absolute one")
    return found


def csv_pieces(path: str, settings: Mapping[str, Any]) -> Iterator[pd.DataFrame]:
    """Reads a CSV file in pieces; an empty one gives none.

    Args:
        path: The file.
        settings: Arguments of `pandas.read_csv`, `chunksize` among them.

    Raises:
        LoadFailed: If a row has more fields than the header.
    """
    try:
        reader = pd.read_csv(path, **settings)
    except pd.errors.EmptyDataError:
        return
    with reader:
        for piece in reader:
            if not isinstance(piece.index, pd.RangeIndex):  # pandas takes a surplus first field for an index
                raise LoadFailed(f"{path} has rows with more fields than its header: repair the file")
            yield piece


def dataset_pieces(dataset: ds.Dataset, window: Window, timestamp: str, piece_rows: int) -> Iterator[pa.Table]:
    """Reads what may lie in the window, and the rows without a time; the exact cut is left to the caller.

    Args:
        dataset: Files with one schema.
        window: The event times asked for; where the column holds times, only row groups near it are read.
        timestamp: The column of event times.
        piece_rows: How many rows a piece has at most.
    """
    scanner = dataset.scanner(
        filter=_asked(dataset.schema, window, timestamp),
        batch_size=piece_rows,
        batch_readahead=1,
        fragment_readahead=1,
        fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False),  # else it holds the whole file
    )
    for batch in scanner.to_batches():
        yield pa.Table.from_batches([batch])


def query_pieces(
    statement: sqlalchemy.TextClause, connection: sqlalchemy.Connection, piece_rows: int
) -> Iterator[pd.DataFrame]:
    """Reads what a query gives, at least one piece; whole numbers beside missing ones stay exact.

    Args:
        statement: The query.
        connection: The database.
        piece_rows: How many rows a piece has at most.

    Raises:
        LoadFailed: If the database does not understand the query; other errors are its own, to be retried.
    """
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    try:
        result = connection.execute(statement)
        names = list(result.keys())
        yield pd.DataFrame(columns=names, dtype=object)
        for rows in result.partitions(piece_rows):
            frame = pd.DataFrame(rows, columns=names, dtype=object)
            columns = (frame.iloc[:, place] for place in range(len(names)))
            # With a missing cell pandas would make floats of whole numbers, and so one key of several.
            yield pd.concat([column if column.hasnans else column.infer_objects() for column in columns], axis=1)
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if not (isinstance(error, ProgrammingError) or code == sqlite3.SQLITE_ERROR):
            raise
        raise LoadFailed(f"the query fails ({error.orig}): correct it") from error


def _asked(schema: pa.Schema, window: Window, timestamp: str) -> pc.Expression | None:
    kind = schema.field(timestamp).type if timestamp in schema.names else None
    if kind is None or not pa.types.is_timestamp(kind):
        return None
    bounds = (min(window.start, _LATEST) - MARGIN, min(window.end, _LATEST) + MARGIN)
    start, end = (pa.scalar(bound if kind.tz else bound.replace(tzinfo=None), kind) for bound in bounds)
    times = pc.field(timestamp)
    return times.is_null() | ((times >= start) & (times < end))


@contextmanager
def explaining(source: str) -> Iterator[None]:
    """Turns what is wrong with a file's content into `LoadFailed`; faults of the disk or network pass, to be retried.

    Args:
        source: The file, as a person knows it.
    """
    try:
        yield
    except UnicodeError as error:
        raise LoadFailed(f"{source} is in another encoding ({error}): name it, as in encoding='cp1252'") from error
    except pd.errors.ParserError as error:
        raise LoadFailed(
            f"{source} is not a CSV file of this form ({str(error).strip()}): repair it or give `sep`."
        ) from error
    except pa.ArrowException as error:
        raise LoadFailed(f"{source} is damaged or no Parquet file ({error}): write it again") from error
    except _CUT_SHORT as error:
        raise LoadFailed(f"{source} is damaged ({error}): write it again") from error
    except OSError as error:
        if error.errno is not None:  # the disk's or the network's, not the file's content
            raise
        raise LoadFailed(f"{source} is damaged ({error}): write it again") from error
