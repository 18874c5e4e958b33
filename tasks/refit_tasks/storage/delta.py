"""Delta tables: names, opening, reading and writing.

A write is a compare-and-set: it fails if another process has written since the table was opened, and
`retry_on_conflict` then repeats the step that reads and decides. Nothing unseen is ever overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from tenacity import RetryError

from refit.errors import NotEnoughData, StateError
from refit.project import RESERVED_SUFFIXES
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
"""Retention of log and files for a century, so that every pinned version stays readable."""

ROW_GROUP, FILE_BYTES = 65_536, 64 << 20
"""Rows per row group and bytes per file: the writer's defaults take a gigabyte of memory."""

QUARANTINE_SUFFIX, PREDICTIONS_SUFFIX, LABELS_SUFFIX = RESERVED_SUFFIXES
"""The suffixes of a project's other tables; servers append to predictions and to the label inbox at any time."""
APPENDED_SUFFIXES = (PREDICTIONS_SUFFIX, LABELS_SUFFIX)
"""The suffixes of the tables that servers append to."""
TABLE_SUFFIXES = ("", *RESERVED_SUFFIXES)
"""The suffixes of all tables of a project."""

T = TypeVar("T")


def open_table(name: str) -> DeltaTable | None:
    """Opens a table at its newest version.

    Args:
        name: The name of a project or of one of its other tables.

    Returns:
        The table, or `None` if it does not exist yet.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri_of(name))
    except TableNotFoundError:
        return None


def require_table(project: str) -> DeltaTable:
    """Opens a project's table at its newest version, or fails if it does not exist.

    Args:
        project: The project's name.

    Returns:
        The table.

    Raises:
        NotEnoughData: If the project has no table yet.
    """
    table = open_table(project)
    if table is None:
        raise missing_table(project)
    return table


def missing_table(project: str) -> NotEnoughData:
    """Makes the error for a project without a table.

    Args:
        project: The project's name.

    Returns:
        The error, to be raised.
    """
    return NotEnoughData(f"{project} has no table yet: run `refit retrain {project}`")


def schema_of(table: DeltaTable) -> pa.Schema:
    """Reads a table's schema.

    Args:
        table: An open table.

    Returns:
        The Arrow schema with the metadata of its fields.
    """
    return pa.schema(table.schema())


def read(table: DeltaTable, columns: list[str] | None = None, where: str | None = None) -> Iterator[pa.Table]:
    """Streams the rows of a table in its schema, in any order.

    Args:
        table: An open table, at any version.
        columns: The columns to read; all by default.
        where: An SQL condition on the rows.

    Yields:
        A few thousand rows at a time.
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
    """Writes rows in one commit, which creates the table if it does not exist.

    Args:
        name: The table's name.
        table: The table at the version on which the rows were decided. The rows must not be streamed from it, since
            its engine cannot read while it writes.
        rows: The rows, in `schema`.
        schema: The table's schema; new columns are added to the table.
        replacing: An SQL condition; the rows that match it are replaced in the same commit. All new rows must match it.
        marks: Application transactions to record with the commit.

    Returns:
        The version of the table after the commit.

    Raises:
        deltalake.exceptions.CommitFailedError: If another process has written since `table` was opened.
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


def rewrite(table: DeltaTable, rows: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Replaces all rows and the schema of a table in one commit; former versions keep theirs.

    Args:
        table: The table at the version on which the rows were decided; the rows must not be streamed from it.
        rows: All rows, in `schema`.
        schema: The table's new schema.

    Returns:
        The version of the table after the commit.

    Raises:
        deltalake.exceptions.CommitFailedError: If another process has written since `table` was opened.
    """
    from deltalake import CommitProperties, WriterProperties, write_deltalake

    batches = (batch for part in rows for batch in part.to_batches())
    write_deltalake(
        table,
        pa.RecordBatchReader.from_batches(schema, batches),
        mode="overwrite",
        schema_mode="overwrite",
        target_file_size=FILE_BYTES,
        writer_properties=WriterProperties(max_row_group_size=ROW_GROUP),
        commit_properties=CommitProperties(max_commit_retries=0),
    )
    return table.version()


def retry_on_conflict(step: Callable[[], T], name: str) -> T:
    """Repeats a step that reads and then writes until no other process writes in between, 20 times at most.

    Args:
        step: A function that opens the table, decides, and writes to the version that it opened.
        name: The table's name, for the message.

    Returns:
        The result of the step.

    Raises:
        StateError: If another process was faster every time.
    """
    try:
        return retry_table_write(_is_conflict)(step)
    except RetryError:
        raise StateError(
            f"the table {name!r} was changed by another process {CONFLICT_TRIES} times during a write: try again later"
        ) from None


def _is_conflict(error: BaseException) -> bool:
    """Tells whether another process has written to the table or created it."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    return isinstance(error, CommitFailedError) or (isinstance(error, DeltaError) and "already exists" in str(error))


def quoted(column: str) -> str:
    """Quotes a column name for an SQL condition.

    Args:
        column: Any column name.

    Returns:
        The name in double quotes.
    """
    return '"' + column.replace('"', '""') + '"'


def within(column: str, window: Window) -> str:
    """Writes the SQL condition that a time lies in a window.

    Args:
        column: The column of times.
        window: The window.

    Returns:
        The condition, in a form by which the engine can skip files.
    """
    return f"{quoted(column)} >= {_literal(window.start)} AND {quoted(column)} < {_literal(window.end)}"


def uri_of(name: str) -> str:
    """Builds the location of a table.

    Args:
        name: The name of a project or of one of its other tables.

    Returns:
        A path, or the URI in an object store.
    """
    return f"{Settings().tables}/{name}"


def _literal(moment: datetime) -> str:
    """Writes a time in microseconds, the unit of the tables: the engine does not compare different units."""
    return f"arrow_cast('{moment.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def tables_of(project: str | None = None) -> list[str]:
    """Names the tables.

    Args:
        project: Only this project's; all, if `None`.

    Returns:
        Their names, some of tables that may not be there yet.
    """
    settings = Settings()
    if project and project.endswith(RESERVED_SUFFIXES):  # a table of another project
        return []
    if settings.store_uri:
        projects = [project] if project else sorted(known_projects())
        return sorted({f"{name}{suffix}" for name in projects for suffix in TABLE_SUFFIXES})
    root = Path(settings.tables)
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    mine = {f"{project}{suffix}" for suffix in TABLE_SUFFIXES}
    return [name for name in names if project is None or name in mine]


def is_appended(name: str) -> bool:
    """Tells whether servers append to a table at any time, and nobody needs its former versions.

    Args:
        name: The table's name.

    Returns:
        Whether it has the predictions or the label inbox of a project, and is not the own table of a project that a
        former release has allowed to have such a name.
    """
    return name.endswith(APPENDED_SUFFIXES) and name not in known_projects()
