"""Ready-made loads: CSV files, Parquet files, a database query, a Delta table.

Each function returns a `load(window)` for a project file::

    project = Project(..., load=csv(Path(__file__).parent / "data" / "*.csv", "observed_at"))

Each load reads the rows in pieces, converts event times to UTC microseconds, and yields the rows of the window. Rows
whose time is missing or unreadable belong to no window but must not be lost: every load yields them with a missing
time, and ingestion quarantines them. Relative paths start from the working directory, which differs in a scheduled run:
use absolute paths.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow.dataset as ds

from refit.data.databases import open_engine, require_no_password
from refit.data.readers import (
    MARGIN,
    filter_window,
    find_files,
    read_csv_pieces,
    read_dataset_pieces,
    read_query_pieces,
    translate_read_errors,
)
from refit.errors import LoadFailed
from refit.project import Frame
from refit.windows import Window

if TYPE_CHECKING:
    import sqlalchemy

Load: TypeAlias = Callable[[Window], Iterator[Frame]]


def csv(
    glob: str | Path,
    timestamp: str,
    *,
    timezone: str = "UTC",
    time_format: str = "ISO8601",
    dtypes: Mapping[str, str] | None = None,
    piece_rows: int = 100_000,
    encoding: str = "utf-8",
    **options: object,
) -> Load:
    """Loads CSV files in the order of their paths.

    Missing values and types are those that `pandas.read_csv` infers for a piece: `NA`, `None` and empty cells are
    missing. If `NA` is a category, pass `keep_default_na=False` and `na_values=[""]`; if integers beyond 2**53 may be
    missing, pass `dtypes={"id": "Int64"}`.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        time_format: The format of times: `ISO8601`, `mixed`, or a format of `strptime`.
        dtypes: The types of columns that must not be inferred.
        piece_rows: The number of rows in memory at a time.
        encoding: The files' encoding.
        options: Further arguments of `pandas.read_csv`, such as `sep`.

    Returns:
        A load. It raises `LoadFailed` if no file matches or a file is not a CSV file of this form; a file that is empty
        or has only a header has no rows.
    """
    ZoneInfo(timezone)  # so that a misspelt name fails when the project file is read, here and below
    codecs.lookup(encoding)
    settings: dict[str, Any] = {"chunksize": piece_rows, "encoding": encoding, "low_memory": False, **options}
    settings["dtype"] = {**(dtypes or {}), timestamp: "str"}

    def load(window: Window) -> Iterator[Frame]:
        for path in find_files(glob):
            with translate_read_errors(path):
                for piece in read_csv_pieces(path, settings):
                    yield filter_window(piece, window, timestamp, timezone, path, time_format)

    return load


def parquet(glob: str | Path, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Loads Parquet files in the order of their paths; row groups outside the window are skipped.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        piece_rows: The number of rows in memory at a time.

    Returns:
        A load. It raises `LoadFailed` if no file matches or a file is damaged.
    """
    ZoneInfo(timezone)

    def load(window: Window) -> Iterator[Frame]:
        for path in find_files(glob):  # one by one: one data set would drop columns that the first file lacks
            with translate_read_errors(path):
                for piece in read_dataset_pieces(ds.dataset(path, format="parquet"), window, timestamp, piece_rows):
                    yield filter_window(piece, window, timestamp, timezone, path)

    return load


def sql(url: str, query: str, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Loads the rows of a query, streamed if the database supports it.

    Args:
        url: The database's SQLAlchemy URL, or `env:NAME` to read it from an environment variable, so that the file
            contains no password.
        query: The statement, with the parameters `:start` and `:end`; add `OR observed_at IS NULL` if times may be
            missing. The parameters are a day wider than the window, since stored times may be local; rows outside the
            window are dropped afterwards.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        piece_rows: The number of rows in memory at a time.

    Returns:
        A load. It raises `LoadFailed` if the URL or the query is invalid; a database that cannot be reached raises its
        own error.

    Raises:
        LoadFailed: If the URL contains a password.
    """
    ZoneInfo(timezone)
    require_no_password(url)

    def load(window: Window) -> Iterator[Frame]:
        engine = open_engine(url)
        try:
            with engine.connect().execution_options(stream_results=True) as connection:
                statement = _bind_window(query, window)
                for piece in read_query_pieces(statement, connection, piece_rows):
                    yield filter_window(piece, window, timestamp, timezone, "the query")
        finally:
            engine.dispose()

    return load


def delta(uri: str | Path, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Loads the newest version of a Delta table; files outside the window are skipped.

    Args:
        uri: The table's directory or object store URI.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        piece_rows: The number of rows in memory at a time.

    Returns:
        A load. It raises `LoadFailed` if there is no such table.
    """
    ZoneInfo(timezone)

    def load(window: Window) -> Iterator[Frame]:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            dataset = DeltaTable(str(uri)).to_pyarrow_dataset()
        except (TableNotFoundError, DeltaError) as error:
            raise LoadFailed(f"there is no readable Delta table at {uri} ({error}): correct the path") from error
        with translate_read_errors(str(uri)):
            for piece in read_dataset_pieces(dataset, window, timestamp, piece_rows):
                yield filter_window(piece, window, timestamp, timezone, str(uri))

    return load


def _bind_window(query: str, window: Window) -> sqlalchemy.TextClause:
    import sqlalchemy

    bounds = {"start": window.start - MARGIN, "end": window.end + MARGIN}
    moment = sqlalchemy.DateTime(timezone=True)
    try:
        return sqlalchemy.text(query).bindparams(
            *(sqlalchemy.bindparam(name, bound, type_=moment) for name, bound in bounds.items())
        )
    except sqlalchemy.exc.ArgumentError as error:
        raise LoadFailed(f"the query lacks :start or :end ({error}): add both, so that it reads one window") from error
