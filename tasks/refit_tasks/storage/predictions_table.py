"""The predictions table of a project, `NAME__predictions`: the rows that its versions scored, with the predictions.

It takes many small batches and differs from a project's own table in three ways. Appends do not conflict with each
other: each has an application transaction named after its batch, so that a commit fails only if the same batch was
written in the meantime. Its versions are never pinned, so its log is kept for days. Small files are compacted after a
fixed number of commits, since a server may run for months without `refit prune`.

The table is partitioned by the day of scoring, so that retention removes days without reading rows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from refit.data.split import from_microseconds
from refit_tasks.storage.delta import (
    FILE_BYTES,
    PREDICTIONS_SUFFIX,
    ROW_GROUP,
    open_table,
    retry_on_conflict,
    schema_of,
    uri_of,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction

log = logging.getLogger(__name__)

APPLICATION = "refit-predictions/"
"""The prefix of a batch's application transaction."""
SCORE = "refit-score"
"""The application transaction of batch scoring; its number is the end of the scored event times, in microseconds."""
PARTITION = "scored_on"
"""The partition column: the day of scoring."""

COMPACTION_INTERVAL = 64
"""The number of commits after which small files are compacted."""
SMALL_BYTES = 8 << 20
"""The size up to which files are compacted here; larger ones are left to `refit prune`, as rewriting costs more."""
FILE_RETENTION_HOURS = 24
"""The hours for which replaced files are kept for readers."""

_RETENTION = {
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": f"interval {FILE_RETENTION_HOURS} hours",
    "delta.setTransactionRetentionDuration": "interval 30 days",
    # No query filters by a feature, and statistics of all features would be most of the log.
    "delta.dataSkippingStatsColumns": "event_time,scored_at,version,role,source",
}
_NUMBERED = re.compile(r"(?P<name>.+)/(?P<number>\d{1,18})")


def predictions_of(project: str) -> str:
    """Names a project's predictions table.

    Args:
        project: The project's name.

    Returns:
        The table's name, `NAME__predictions`.
    """
    return project + PREDICTIONS_SUFFIX


def append(project: str, rows: pa.Table, batch: str) -> int:
    """Appends a batch of predictions exactly once, also beside other writers.

    Args:
        project: The project's name.
        rows: The predictions, from `refit.inference.prediction_rows.prediction_rows`.
        batch: The unique name of the batch. A writer of many batches names them `NAME/NUMBER` and appends them in the
            order of their numbers: the table keeps the last number, and batches up to it count as written. Any other
            name is kept for 30 days.

    Returns:
        The number of rows written; 0 if the batch was written before.

    Raises:
        StateError: If concurrent writers keep changing the table's columns; nothing is written then.
    """
    if not rows.num_rows:
        return 0
    name = predictions_of(project)

    def step() -> int:
        table, (application, number) = open_table(name), _to_transaction_id(batch)
        if table is not None and (table.transaction_version(application) or 0) >= number:
            return 0
        from refit.inference.prediction_rows import cast_for_storage

        fitting = cast_for_storage(rows, schema_of(table) if table is not None else pa.schema([]))
        compact_small_files(name, write_rows(name, table, [fitting], fitting.schema, _transaction(application, number)))
        count: int = rows.num_rows
        return count

    return retry_on_conflict(step, name)


def write_rows(
    name: str, table: DeltaTable | None, rows: Iterable[pa.Table], schema: pa.Schema, transaction: Transaction
) -> int:
    """Appends rows in one commit, which creates the table if it does not exist.

    Args:
        name: The table's name.
        table: The table at the version on which the rows were decided.
        rows: The rows, from `cast_for_storage`.
        schema: The schema of the rows; new columns are added to the table.
        transaction: The application transaction of the commit.

    Returns:
        The version of the table after the commit.

    Raises:
        deltalake.exceptions.CommitFailedError: If another process has committed the same application transaction, or
            changed the table's columns, since `table` was opened.
    """
    from deltalake import CommitProperties, WriterProperties, write_deltalake

    stream = pa.RecordBatchReader.from_batches(schema, (batch for part in rows for batch in part.to_batches()))
    how: dict[str, Any] = {
        "partition_by": [PARTITION],
        "target_file_size": FILE_BYTES,
        "writer_properties": WriterProperties(max_row_group_size=ROW_GROUP, compression="ZSTD"),
        "commit_properties": CommitProperties(app_transactions=[transaction]),
    }
    if table is None:
        write_deltalake(uri_of(name), stream, mode="error", configuration=_RETENTION, **how)
        return 0
    # Columns of the table that these rows lack become null.
    write_deltalake(table, stream, mode="append", schema_mode="merge", **how)
    version: int = table.version()
    return version


def compact_small_files(name: str, version: int) -> None:
    """Compacts small files after every 64th commit, and deletes files that were replaced more than a day ago.

    If another process writes at the same time, the compaction is skipped until 64 commits later.

    Args:
        name: The table's name.
        version: The version that the caller's commit made; versions are unique, so only one caller compacts.
    """
    from deltalake.exceptions import DeltaError

    table = open_table(name) if version % COMPACTION_INTERVAL == COMPACTION_INTERVAL - 1 else None
    if table is None:
        return
    with suppress(DeltaError):
        table.optimize.compact(target_size=SMALL_BYTES, max_concurrent_tasks=1)
        table.vacuum(FILE_RETENTION_HOURS, dry_run=False, enforce_retention_duration=False)


def _to_transaction_id(batch: str) -> tuple[str, int]:
    numbered = _NUMBERED.fullmatch(batch)
    name, number = (numbered["name"], int(numbered["number"])) if numbered else (batch, 0)
    return APPLICATION + name, number + 1


def _transaction(application: str, number: int) -> Transaction:
    from deltalake import Transaction

    return Transaction(application, number, int(datetime.now(UTC).timestamp() * 1000))


def scored_until(project: str) -> datetime | None:
    """Reads up to which event time a project's rows have been scored.

    Args:
        project: The project's name.

    Returns:
        The first instant after the newest scored event time, UTC; `None` before the first batch.
    """
    table = open_table(predictions_of(project))
    return read_scored_until(table) if table else None


def read_scored_until(table: DeltaTable) -> datetime | None:
    """Reads from an open predictions table up to which event time the project's rows have been scored.

    Args:
        table: The predictions table.

    Returns:
        The first instant after the newest scored event time, UTC; `None` before the first batch.
    """
    version = table.transaction_version(SCORE)
    return from_microseconds(version) if version else None
