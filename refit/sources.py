"""Ready-made loads: CSV files, Parquet files, a database query, a Delta table.

Each factory gives a `load(window)` for a project file::

    project = Project(..., load=csv(Path(__file__).parent / "data" / "*.csv", "observed_at"))

All of them hold a piece of the rows at a time, turn event times into UTC microseconds, and give the rows of the
window. A row whose time is missing or unreadable is in no window and must not vanish: every load gives it again, with
a missing time, for ingestion to put into quarantine. A relative path starts from the working directory, which is
another one in a scheduled run: write absolute ones.
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
    """Reads CSV files, in the order of their paths.

    Missing values and types are what `pandas.read_csv` makes of a piece: `NA`, `None` and an empty cell are missing.
    Where `NA` is a category, pass `keep_default_na=False` and `na_values=[""]`; where whole numbers beyond 2**53 may
    be missing, `dtypes={"id": "Int64"}`.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        timestamp: The column of event times.
        timezone: The zone of times without one.
        time_format: How times are written: `ISO8601`, `mixed`, or a format of `strptime`.
        dtypes: The types of columns that must not be inferred.
        piece_rows: How many rows are held in memory at a time.
        encoding: The files' encoding.
        options: Further arguments of `pandas.read_csv`, such as `sep`.

    Returns:
        A load. It raises `LoadFailed` where no file matches or one cannot be read as such a CSV file; a file that is
        empty or has a header only holds no rows.
    """
    ZoneInfo(timezone)  # a misspelt name is found when the project file is read, here and below
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
    """Reads Parquet files, in the order of their paths; row groups outside the window are skipped.

    Args:
        glob: The files, as a path with `*`, `?` or `**`.
        timestamp: The column of event times.
        timezone: The zone of times without one.
        piece_rows: How many rows are held in memory at a time.

    Returns:
        A load. It raises `LoadFailed` where no file matches or one is damaged.
    """
    ZoneInfo(timezone)

    def load(window: Window) -> Iterator[Frame]:
        for path in find_files(
            glob
        ):  # one by one: a data set of several would drop the columns that the first one lacks
            with translate_read_errors(path):
                for piece in read_dataset_pieces(ds.dataset(path, format="parquet"), window, timestamp, piece_rows):
                    yield filter_window(piece, window, timestamp, timezone, path)

    return load


def sql(url: str, query: str, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Reads the rows that a query gives, streamed where the database can.

    Args:
        url: The database's SQLAlchemy URL, or `env:NAME` for one that stands in an environment variable, so that no
            password stands in the file.
        query: The statement, with the parameters `:start` and `:end`; add `OR observed_at IS NULL` where times may be
            missing. The two are a day wider than the window, since stored times may be local; the cut follows.
        timestamp: The column of event times.
        timezone: The zone of times without one.
        piece_rows: How many rows are held in memory at a time.

    Returns:
        A load. It raises `LoadFailed` where the URL or the query is not one; a database that cannot be reached raises
        its own error.

    Raises:
        LoadFailed: If the URL itself holds a password.
    """
    ZoneInfo(timezone)
    require_no_password(url)

    def load(window: Window) -> Iterator[Frame]:
        engine = open_engine(url)
        try:
            with engine.connect().execution_options(stream_results=True) as connection:
                statement = _bound(query, window)
                for piece in read_query_pieces(statement, connection, piece_rows):
                    yield filter_window(piece, window, timestamp, timezone, "the query")
        finally:
            engine.dispose()

    return load


def delta(uri: str | Path, timestamp: str, *, timezone: str = "UTC", piece_rows: int = 100_000) -> Load:
    """Reads the newest version of a Delta table; files outside the window are skipped.

    Args:
        uri: The table's directory or object store URI.
        timestamp: The column of event times.
        timezone: The zone of times without one.
        piece_rows: How many rows are held in memory at a time.

    Returns:
        A load. It raises `LoadFailed` where there is no such table.
    """
    ZoneInfo(timezone)

    def load(window: Window) -> Iterator[Frame]:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            dataset = DeltaTable(str(uri)).to_pyarrow_dataset()
        except (TableNotFoundError, DeltaError) as error:
            raise LoadFailed(f"no readable Delta table lies at {uri} ({error}): correct the path") from error
        with translate_read_errors(str(uri)):
            for piece in read_dataset_pieces(dataset, window, timestamp, piece_rows):
                yield filter_window(piece, window, timestamp, timezone, str(uri))

    return load


def _bound(query: str, window: Window) -> sqlalchemy.TextClause:
    import sqlalchemy

    bounds = {"start": window.start - MARGIN, "end": window.end + MARGIN}
    moment = sqlalchemy.DateTime(timezone=True)
    try:
        return sqlalchemy.text(query).bindparams(
            *(sqlalchemy.bindparam(name, bound, type_=moment) for name, bound in bounds.items())
        )
    except sqlalchemy.exc.ArgumentError as error:
        raise LoadFailed(f"the query must hold :start and :end ({error}): without them it reads everything") from error
