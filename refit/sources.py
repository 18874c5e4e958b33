"""Ready-made loads: CSV files, Parquet files, a database query, a Delta table.

Each function returns a `load(window)` for a project file::

    project = Project(..., load=csv(Path(__file__).parent / "data" / "*.csv", "observed_at"))

Each load reads the rows in pieces, converts event times to UTC microseconds, and yields the rows of the window. Rows
whose time is missing or unreadable belong to no window but must not be lost: every load yields them, an unreadable time
as it stands, and ingestion quarantines them. A piece with such a time has all times as text. Relative paths start from
the working directory, which differs in a scheduled run: use absolute paths.
"""

from __future__ import annotations

import codecs
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

from refit.data.databases import open_engine, require_no_password
from refit.errors import LoadFailed, ProjectError, suggest_name
from refit.loads.csv_files import CsvReading, find_padded_columns, read_csv_pieces
from refit.loads.hive_folders import add_folder_columns, read_folder_columns
from refit.loads.parquet_files import find_common_types, read_parquet_pieces
from refit.loads.readers import (
    MARGIN,
    filter_window,
    find_files,
    read_dataset_pieces,
    read_query_pieces,
    translate_read_errors,
)
from refit.project import Frame
from refit.windows import Window

if TYPE_CHECKING:
    import sqlalchemy

Load: TypeAlias = Callable[[Window], Iterator[Frame]]
_TAKEN = {
    "dtype": "dtypes",
    "chunksize": "piece_rows",
    "iterator": "piece_rows",
    "filepath_or_buffer": "the first argument",
}
"""Arguments of pandas that a load sets itself, and its own option for each."""


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

    Only empty cells are missing, and the words of `na_values`: `NA`, `null`, `None` and `nan` are text. Whole numbers
    with leading zeros are text, too. Columns of folders such as `region=north` are added, and an index that pandas
    wrote is left out. If integers beyond 2**53 may be missing, pass `dtypes={"id": "Int64"}`.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        timestamp: The column of event times.
        timezone: The time zone of times without an offset.
        time_format: The format of times: `ISO8601`, `mixed`, or a format of `strptime`.
        dtypes: The types of columns that must not be inferred.
        piece_rows: The number of rows in memory at a time.
        encoding: The files' encoding.
        options: Further arguments of `pandas.read_csv`, such as `sep`, `decimal` and `na_values`.

    Returns:
        A load. It raises `LoadFailed` if no file matches or a file is not a CSV file of this form, with the option for
        its form; a file that is empty or has only a header has no rows.

    Raises:
        ProjectError: If pandas has no such argument.
    """
    codecs.lookup(encoding)
    _require_pandas_arguments(options)
    settings: dict[str, Any] = {"encoding": encoding, "low_memory": False, **options}
    reading = CsvReading(timestamp, settings, dtypes or {}, piece_rows)
    return load_csv(glob, reading, timezone=timezone, time_format=time_format)


def load_csv(glob: str | Path, reading: CsvReading, *, timezone: str = "UTC", time_format: str = "ISO8601") -> Load:
    """Loads CSV files as they are described.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        reading: How they are read.
        timezone: The time zone of times without an offset.
        time_format: The format of times.

    Returns:
        A load, see `csv`.
    """
    ZoneInfo(timezone)  # so that a misspelt name fails when the project file is read, here and below

    def load(window: Window) -> Iterator[Frame]:
        folders, texts = read_folder_columns(find_files(glob)), dict[str, None]()
        for path in folders:
            with translate_read_errors(path, reading.options):
                texts |= dict.fromkeys(find_padded_columns(path, reading))
        for path, columns in folders.items():
            with translate_read_errors(path, reading.options):
                for piece in read_csv_pieces(path, reading, list(texts)):
                    whole = add_folder_columns(piece, columns)
                    yield filter_window(whole, window, reading.timestamp, timezone, path, time_format)

    return load


def parquet(glob: str | Path, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Loads Parquet files in the order of their paths; row groups outside the window are skipped.

    Columns of folders such as `region=north` are added, and an index without a name that pandas wrote is left out. A
    column has one type in all files, unless a cell would lose by that: numbers with and without decimal places, times
    of different units, categories and texts.

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
        folders = read_folder_columns(find_files(glob))
        types = find_common_types(list(folders))
        for path, columns in folders.items():  # one by one: one data set would drop columns that the first file lacks
            with translate_read_errors(path):
                for piece in read_parquet_pieces(path, types, window, timestamp, piece_rows):
                    yield filter_window(add_folder_columns(piece, columns), window, timestamp, timezone, path)

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


def _require_pandas_arguments(options: Mapping[str, object]) -> None:
    import pandas as pd

    known = [name for name in inspect.signature(pd.read_csv).parameters if name not in _TAKEN]
    for name in options:
        if name in _TAKEN:
            raise ProjectError(f"csv() has no option {name!r}: use {_TAKEN[name]}")
        if name not in known:
            raise ProjectError(f"csv() has no option {name!r}: {suggest_name(name, known)}")


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
