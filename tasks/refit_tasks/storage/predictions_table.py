"""The predictions' table of a project, `NAME__predictions`: what its versions were asked and what they said.

It takes many small batches, so it is unlike a project's own table in three ways. Appends do not exclude each other:
each carries an application transaction named after its batch, and Delta refuses a commit only where the same batch has
been written meanwhile. No version of it is ever pinned, so its log is kept for days. And it looks after itself: every
so many commits the small files are put together, which a server that runs for months could not leave to `refit prune`.

The table is partitioned by the day of scoring: days that retention lets go are removed without reading a row.
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
"""What stands before a batch's name in the table's record of transactions."""
PARTITION = "scored_on"

COMPACTION_INTERVAL = 64
"""After so many commits the small files are put together."""
SMALL_BYTES = 8 << 20
"""Up to here a file is small. Larger ones are left to `refit prune`: they would be written again too often."""
FILE_RETENTION_HOURS = 24
"""So long files stay that were put together: somebody may be reading them."""

_RETENTION = {
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": f"interval {FILE_RETENTION_HOURS} hours",
    "delta.setTransactionRetentionDuration": "interval 30 days",
    # Of the features nobody asks for a range, and their statistics would be most of the log.
    "delta.dataSkippingStatsColumns": "event_time,scored_at,version,role,source",
}
_NUMBERED = re.compile(r"(?P<name>.+)/(?P<number>\d{1,18})")


def predictions_of(project: str) -> str:
    """Names a project's table of predictions.

    Args:
        project: The project's name.

    Returns:
        A name beside the project's.
    """
    return project + PREDICTIONS_SUFFIX


def append(project: str, rows: pa.Table, batch: str) -> int:
    """Appends a batch of predictions, exactly once however often it is given, and whoever else appends meanwhile.

    Args:
        project: The project's name.
        rows: The predictions, from `refit.inference.prediction_rows.prediction_rows`.
        batch: What names these rows for ever. `NAME/NUMBER` is for a writer of many batches, who numbers them and
            appends them in that order: the table remembers the last number alone, and takes all up to it for written.
            Any other name is remembered for 30 days.

    Returns:
        How many rows were written: all, or none where the batch was written before.

    Raises:
        StateError: If the table's columns keep changing meanwhile; nothing was written then.
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
    """Appends rows in one commit, which creates the table if there is none.

    Args:
        name: The table's name.
        table: The table as it was when the rows were decided on.
        rows: The rows, as `cast_for_storage` gives them.
        schema: Their columns; those that the table does not have yet are added to it.
        transaction: What names the commit.

    Returns:
        The version that the commit made.

    Raises:
        deltalake.exceptions.CommitFailedError: If somebody else has committed a transaction of that name, or changed
            the table's columns, since `table` was opened.
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
    # Columns that these rows do not have are null in them, too.
    write_deltalake(table, stream, mode="append", schema_mode="merge", **how)
    version: int = table.version()
    return version


def compact_small_files(name: str, version: int) -> None:
    """Puts small files together once in so many commits, and removes those that were put together long ago.

    Whoever comes in between wins: it is tried again so many commits later.

    Args:
        name: The table's name.
        version: The version that a commit has made; each is somebody's own, so that only one looks after it.
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


SCORE = "refit-score"
"""The transaction of the batches; its number is how far the project's own rows have been scored."""


def scored_until(project: str) -> datetime | None:
    """Tells how far a project's own rows have been scored.

    Args:
        project: The project's name.

    Returns:
        Just after the newest event time, UTC; `None` before the first batch.
    """
    table = open_table(predictions_of(project))
    return read_scored_until(table) if table else None


def read_scored_until(table: DeltaTable) -> datetime | None:
    """Reads how far a project's own rows have been scored.

    Args:
        table: Its table of predictions.

    Returns:
        Just after the newest event time, UTC; `None` before the first batch.
    """
    version = table.transaction_version(SCORE)
    return from_microseconds(version) if version else None
