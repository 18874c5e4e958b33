"""Delta tables: opened, read and written to in one place.

A write is a compare-and-set: it fails where somebody else has written since the table was opened, and `redo` then
reads and decides again. What was not known when the write was decided is so never overwritten.

Which Delta tables there are: a project's own, and those beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from tenacity import RetryError

from refit.errors import NotEnoughData, StateError
from refit.windows import Window
from refit_infra.settings import Settings
from refit_tasks.ledger.record import known_projects
from refit_tasks.retries import CONFLICT_TRIES, retry_table_write

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction


RETENTION = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
"""A pinned version stays readable: neither the log nor a file is cleaned up within a century."""

ROW_GROUP, FILE_BYTES = 65_536, 64 << 20
"""The writer holds a row group per column and more in memory; its own defaults take a gigabyte."""

T = TypeVar("T")


def open_table(name: str) -> DeltaTable | None:
    """Opens a table at its newest version.

    Args:
        name: The project's name, or that of a table beside it.

    Returns:
        The table, or `None` while there is none.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri_of(name))
    except TableNotFoundError:
        return None


def require_table(project: str) -> DeltaTable:
    """Opens a project's table at its newest version, and insists that there is one.

    Args:
        project: The project's name.

    Returns:
        The table.

    Raises:
        NotEnoughData: If there is none.
    """
    table = open_table(project)
    if table is None:
        raise missing_table(project)
    return table


def missing_table(project: str) -> NotEnoughData:
    """Says that a project has no table.

    Args:
        project: The project's name.

    Returns:
        The error, to be raised.
    """
    return NotEnoughData(f"{project} has no table yet: run `refit retrain {project}`")


def schema_of(table: DeltaTable) -> pa.Schema:
    """Gives a table's columns with their types and metadata.

    Args:
        table: An open table.

    Returns:
        Its schema in Arrow's terms.
    """
    return pa.schema(table.schema())


def read(table: DeltaTable, columns: list[str] | None = None, where: str | None = None) -> Iterator[pa.Table]:
    """Streams rows in the types of the table's schema; the order is any.

    Args:
        table: An open table, at any version.
        columns: The columns wanted; all of them by default.
        where: An SQL condition on the rows.

    Yields:
        Some thousand rows at a time.
    """
    schema = schema_of(table)
    schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    for batch in table.scan(columns=schema.names, predicate=where):
        yield pa.Table.from_batches([pa.record_batch(batch)]).cast(schema)


def write(
    name: str,
    table: DeltaTable | None,
    rows: Iterable[pa.Table],
    schema: pa.Schema,
    replacing: str | None = None,
    marks: Iterable[Transaction] = (),
) -> int:
    """Adds rows in one commit, which creates the table if there is none.

    Args:
        name: The table's name.
        table: The table as it was when the rows were decided on. The rows must not be read from it on the way, since
            its engine cannot read while it writes.
        rows: The rows, of that schema.
        schema: The table's schema; columns that the table does not have yet are added to it.
        replacing: An SQL condition: the rows that fulfil it are removed in the same commit, and all new ones must.
        marks: Application transactions to record with the commit.

    Returns:
        The version that the commit made.

    Raises:
        deltalake.exceptions.CommitFailedError: If somebody else has written since `table` was opened.
    """
    from deltalake import CommitProperties, WriterProperties, write_deltalake

    batches = (batch for part in rows for batch in part.to_batches())
    widened = table is not None and schema.names != schema_of(table).names
    stream = pa.RecordBatchReader.from_batches(schema, batches)
    how: dict[str, Any] = {
        "schema_mode": "merge" if widened else None,
        "target_file_size": FILE_BYTES,
        "writer_properties": WriterProperties(max_row_group_size=ROW_GROUP),
        "commit_properties": CommitProperties(max_commit_retries=0, app_transactions=list(marks)),
    }
    if table is None:
        write_deltalake(uri_of(name), stream, mode="error", configuration=RETENTION, **how)
    elif replacing:
        write_deltalake(table, stream, mode="overwrite", predicate=replacing, **how)
    else:
        write_deltalake(table, stream, mode="append", **how)
    return 0 if table is None else table.version()


def retry_on_conflict(step: Callable[[], T], name: str) -> T:
    """Repeats a step that reads and then writes, as long as somebody else writes in between.

    Args:
        step: Opens the table, decides, and writes to what it opened.
        name: The table's name, for the message.

    Returns:
        What the step returned.

    Raises:
        StateError: If others were faster every time.
    """
    try:
        return retry_table_write(_is_conflict)(step)
    except RetryError:
        raise StateError(
            f"the table {name!r} was changed by others {CONFLICT_TRIES} times while it was written: try again later"
        ) from None


def _is_conflict(error: BaseException) -> bool:
    """Tells whether somebody else has written to the table, or has created it."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    return isinstance(error, CommitFailedError) or (isinstance(error, DeltaError) and "already exists" in str(error))


def quoted(column: str) -> str:
    """Writes a column's name the way SQL conditions want it.

    Args:
        column: Any name.

    Returns:
        The name in double quotes.
    """
    return '"' + column.replace('"', '""') + '"'


def within(column: str, window: Window) -> str:
    """Writes the SQL condition that an event time lies in a window.

    Args:
        column: The column of event times.
        window: The window.

    Returns:
        A condition that the engine uses to skip files, too.
    """
    return f"{quoted(column)} >= {_literal(window.start)} AND {quoted(column)} < {_literal(window.end)}"


def uri_of(name: str) -> str:
    """Says where a table lies.

    Args:
        name: The project's name, or that of a table beside it.

    Returns:
        A path or an object store's URI.
    """
    return f"{Settings().tables}/{name}"


def _literal(moment: datetime) -> str:
    """Writes a time in the table's own unit; the engine refuses to compare times of different units."""
    return f"arrow_cast('{moment.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"


PREDICTIONS_SUFFIX = "__predictions"
"""What follows the project's name in that of its predictions' table, which other processes append to at any time."""
LABELS_SUFFIX = "__labels"
"""What follows it in that of the inbox of labels, which servers append to at any time as well."""
APPENDED_SUFFIXES = (PREDICTIONS_SUFFIX, LABELS_SUFFIX)
TABLE_SUFFIXES = ("", "__quarantine", *APPENDED_SUFFIXES)
"""What follows the project's name; on an object store, whose directories are not listed."""


def tables_of(project: str | None = None) -> list[str]:
    """Names the tables.

    Args:
        project: Only this project's; all, if `None`.

    Returns:
        Their names, some of tables that may not be there yet.
    """
    settings = Settings()
    if settings.store_uri:
        projects = [project] if project else sorted(known_projects())
        return [f"{name}{suffix}" for name in projects for suffix in TABLE_SUFFIXES]
    root = Path(settings.tables)
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [name for name in names if project is None or name.partition("__")[0] == project]
