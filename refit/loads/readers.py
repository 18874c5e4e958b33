"""Piecewise readers of the ready-made loads, conversion of event times to UTC, and errors about unreadable sources.

Rows whose time cannot be read are kept with a missing time, so that ingestion can quarantine them.
"""

from __future__ import annotations

import lzma
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from refit.errors import LoadFailed, suggest_name
from refit.loads.csv_format import LOAD_OPTIONS, OptionNames, guess_encoding
from refit.windows import Window

if TYPE_CHECKING:
    import sqlalchemy

MARGIN = timedelta(days=1)
"""How much more than the window is read on both sides, since stored times may be local or text; the exact cut follows.
"""
_LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Later bounds do not fit into a column of nanoseconds."""
_TRUNCATED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""The errors of damaged compressed files."""
_OFFSET = r"(?::\d{2}.*|T\d+)(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
"""The end of a text with a clock time and an offset; a date alone, such as one ending in `-31`, has no clock time."""
Piece = TypeVar("Piece", pd.DataFrame, pa.Table)


def find_files(glob: str | Path) -> list[str]:
    """Lists the files that match, sorted by path.

    Args:
        glob: A path with `*`, `?` or `**`; a relative one starts from the working directory.

    Returns:
        Their paths, at least one.

    Raises:
        LoadFailed: If no file matches.
    """
    pattern = Path(glob).expanduser().absolute()
    root = Path(pattern.anchor)
    found = sorted(str(path) for path in root.glob(str(pattern.relative_to(root))) if path.is_file())
    if not found:
        raise LoadFailed(f"no file matches {pattern}: correct the path and make it absolute")
    return found


def read_dataset_pieces(dataset: ds.Dataset, window: Window, timestamp: str, piece_rows: int) -> Iterator[pa.Table]:
    """Reads the rows that may lie in the window, and rows without a time; the caller makes the exact cut.

    Args:
        dataset: Files with one schema.
        window: The requested event times; if the column holds times, only row groups near it are read.
        timestamp: The column of event times.
        piece_rows: The most rows of a piece.

    Yields:
        The pieces.
    """
    scanner = dataset.scanner(
        filter=_window_filter(dataset.schema, window, timestamp),
        batch_size=piece_rows,
        batch_readahead=1,
        fragment_readahead=1,
        fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False),  # else it holds the whole file
    )
    for batch in scanner.to_batches():
        yield pa.Table.from_batches([batch])


def read_query_pieces(
    statement: sqlalchemy.TextClause, connection: sqlalchemy.Connection, piece_rows: int
) -> Iterator[pd.DataFrame]:
    """Reads the result of a query; integers in a column with missing values stay exact.

    Args:
        statement: The query.
        connection: The database.
        piece_rows: The most rows of a piece.

    Yields:
        The pieces, the first one empty.

    Raises:
        LoadFailed: If the query is invalid; other database errors pass through, to be retried.
    """
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    try:
        result = connection.execute(statement)
        names = list(result.keys())
        yield pd.DataFrame(columns=names, dtype=object)
        for rows in result.partitions(piece_rows):
            frame = pd.DataFrame(rows, columns=names, dtype=object)
            columns = (frame.iloc[:, place] for place in range(len(names)))
            # With a missing cell pandas would convert integers to floats, and so merge different keys.
            yield pd.concat([column if column.hasnans else column.infer_objects() for column in columns], axis=1)
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if not (isinstance(error, ProgrammingError) or code == sqlite3.SQLITE_ERROR):
            raise
        raise LoadFailed(f"the query fails ({error.orig}): correct it") from error


@contextmanager
def translate_read_errors(source: str, options: OptionNames = LOAD_OPTIONS) -> Iterator[None]:
    """Translates errors about a file's content into `LoadFailed`; disk and network errors pass through, to be retried.

    Args:
        source: The file, for the message.
        options: The names of the options of a CSV file, for the message.

    Raises:
        LoadFailed: If the content cannot be read.
    """
    try:
        yield
    except UnicodeError as error:
        fix = options.name("encoding", guess_encoding(_read_start(source)))
        raise LoadFailed(f"{source} has another encoding ({error}): {fix}, or what the file has") from error
    except pd.errors.ParserError as error:
        raise LoadFailed(
            f"{source} is not a CSV file of this form ({str(error).strip()}): repair it, or {options.name('sep', ';')}"
        ) from error
    except pa.ArrowException as error:
        raise LoadFailed(f"{source} is damaged or not a Parquet file ({error}): write it again") from error
    except _TRUNCATED as error:
        raise LoadFailed(f"{source} is damaged ({error}): write it again") from error
    except OSError as error:
        if error.errno is not None:  # the disk's or the network's, not the file's content
            raise
        raise LoadFailed(f"{source} is damaged ({error}): write it again") from error


def filter_window(
    piece: Piece, window: Window, timestamp: str, timezone: str, source: str, time_format: str = "ISO8601"
) -> Piece:
    """Converts event times to UTC and keeps the rows of the window and those with a missing or unreadable time.

    A piece with unreadable times has its times as text, these as they stand, so that whoever looks for the fault sees
    them: ingestion reads the others and quarantines these.

    Args:
        piece: Some rows as the source returned them.
        window: The requested event times.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        source: The source of the piece, for the message.
        time_format: The format of text, see `to_utc`.

    Returns:
        The remaining rows, in their order.

    Raises:
        LoadFailed: If there is no such column, or it holds numbers.
    """
    names = list(piece.columns) if isinstance(piece, pd.DataFrame) else piece.column_names
    _require_column(timestamp, [str(name) for name in names], source)
    values = piece[timestamp] if isinstance(piece, pd.DataFrame) else _to_series(piece[timestamp], timestamp)
    times = to_utc(values, timezone, time_format)
    kept = times.isna() | window.holds(times)
    shown = _show_unreadable(values, times)
    if isinstance(piece, pd.DataFrame):
        return piece.assign(**{timestamp: times if shown is None else shown})[kept].reset_index(drop=True)
    column = pa.Array.from_pandas(times, type=pa.timestamp("us", "UTC")) if shown is None else pa.array(shown)
    return piece.set_column(names.index(timestamp), timestamp, column).filter(pa.array(kept))


def _show_unreadable(values: pd.Series, times: pd.Series[pd.Timestamp]) -> pd.Series[str] | None:
    """Writes the times of a piece as text, the unreadable ones as they stand; `None` if all can be read.

    What has another form than the load's, but would be read as ISO 8601 later, is missing: guessing would move the row.
    """
    text = values.astype("str")
    unreadable = times.isna() & values.notna() & ~text.str.contains(_OFFSET, regex=True, na=False)
    if not unreadable.any():
        return None
    written = times.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00").where(times.notna(), None)
    return written.where(~unreadable, text)


def to_utc(values: pd.Series, timezone: str = "UTC", time_format: str = "ISO8601") -> pd.Series[pd.Timestamp]:
    """Converts a column of times to UTC.

    Args:
        values: Times, dates, or text; with or without an offset, also mixed.
        timezone: The time zone of times without an offset.
        time_format: The format of text: `ISO8601`, `mixed`, or a format of `strptime`.

    Returns:
        Microseconds in UTC, with the same index. Missing if the time is missing or cannot be parsed, and if a daylight
        saving change made it ambiguous or nonexistent in `timezone`: guessing would move the row.

    Raises:
        LoadFailed: If the column holds numbers, whose unit and origin are unknown.
    """
    if pd.api.types.is_numeric_dtype(values) and values.notna().any():
        raise LoadFailed(
            f"the timestamp column {values.name!r} holds numbers ({values.dtype}), not times: "
            "convert them to times in a custom load"
        )
    if not pd.api.types.is_datetime64_any_dtype(values):
        return _parse_times(values.astype("str"), timezone, time_format)
    if values.dt.tz is None:
        values = _localise(values, timezone)
    times: pd.Series[pd.Timestamp] = values.dt.tz_convert("UTC").dt.as_unit("us")
    return times


def _read_start(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        return opened.read(4)


def _window_filter(schema: pa.Schema, window: Window, timestamp: str) -> pc.Expression | None:
    kind = schema.field(timestamp).type if timestamp in schema.names else None
    if kind is None or not pa.types.is_timestamp(kind):
        return None
    bounds = (min(window.start, _LATEST) - MARGIN, min(window.end, _LATEST) + MARGIN)
    start, end = (pa.scalar(bound if kind.tz else bound.replace(tzinfo=None), kind) for bound in bounds)
    times = pc.field(timestamp)
    return times.is_null() | ((times >= start) & (times < end))


def _parse_times(text: pd.Series[str], timezone: str, time_format: str) -> pd.Series[pd.Timestamp]:
    times = pd.to_datetime(text, utc=True, errors="coerce", format=time_format).dt.as_unit("us")
    if timezone == "UTC":
        return times
    local = _localise(times.dt.tz_localize(None), timezone).dt.tz_convert("UTC")
    return times.where(text.str.contains(_OFFSET, regex=True, na=False), local)


def _localise(clock: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    return clock.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")


def _to_series(column: pa.ChunkedArray, name: str) -> pd.Series:
    values: pd.Series = column.to_pandas(date_as_object=False).rename(name)
    return values


def _require_column(timestamp: str, names: list[str], source: str) -> None:
    if timestamp not in names:
        raise LoadFailed(f"{source} has no timestamp column {timestamp!r}: {suggest_name(timestamp, names)}")
