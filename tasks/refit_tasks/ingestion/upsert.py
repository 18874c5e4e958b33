"""The upsert: accepted rows of a batch are written to the project's table in one commit, safe beside other writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from refit.data.casting import cast_table
from refit.data.chunks import merge_tables
from refit.data.fingerprint import Identities, count_common, row_identities
from refit.data.split import Times, window_of
from refit.data.upsert import Roles, Upsert, summarize_incoming
from refit.errors import ContractViolation, StateError
from refit.project import Project
from refit.windows import Window, format_window
from refit_tasks.storage.delta import ROW_GROUP, open_table, read, retry_on_conflict, schema_of, within, write
from refit_tasks.storage.snapshots import watermark_transaction
from refit_tasks.storage.staging import SpilledTables

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class UpsertBatch:
    """The rows of one batch to be written."""

    definition: Project
    schema: pa.Schema
    """The schema of the table after the commit."""
    accepted: Callable[[], Iterable[pa.Table]]
    """Reads the accepted rows, always in the same order."""
    times: Callable[[], Times]
    """Reads the event times of all loaded rows, rejected ones included."""
    window: Window
    """The event times that were loaded."""
    area: Path
    """The staging directory."""


@dataclass(frozen=True, slots=True)
class CommitCounts:
    """The result of a commit."""

    version: int
    """The version of the table."""
    added: int
    """The number of new rows."""
    corrected: int
    """The number of rows that replaced the row of their key."""


def commit_batch(batch: UpsertBatch) -> CommitCounts:
    """Writes a batch in one commit with the watermark; writes nothing if the table holds all of its rows.

    With a key, new rows are added and changed rows replace the row of their key. Without a key, the rows replace all
    rows of the load window.

    Args:
        batch: The accepted rows.

    Returns:
        The counts of changed rows.

    Raises:
        ContractViolation: If a batch without a key would replace more rows than it holds.
        StateError: If concurrent writers win every time, or have changed the table's columns.
    """

    def step() -> CommitCounts:
        table = open_table(batch.definition.name)
        if table is None:
            rows = sum(piece.num_rows for piece in batch.accepted())
            return CommitCounts(_write(batch, None, batch.accepted()), rows, 0)
        _require_schema(batch, table)
        return _upsert_by_key(batch, table) if batch.definition.key else _replace_window(batch, table)

    return retry_on_conflict(step, batch.definition.name)


def require_full_window(batch: UpsertBatch, table: DeltaTable | None) -> None:
    """Ensures that a batch without a key, which replaces its window, does not drop rows of the table.

    Args:
        batch: The batch.
        table: The project's table; `None` before the first ingest.

    Raises:
        ContractViolation: If the load returned fewer rows than the table holds in the window up to its newest row.
    """
    if table is None or batch.definition.key:
        return
    name = batch.definition.timestamp
    held = [part[name].cast(pa.int64()).to_numpy() for part in read(table, [name], within(name, batch.window))]
    if not sum(len(times) for times in held):
        return
    newest = max(times.max() for times in held if len(times))
    found, least = int((batch.times() <= newest).sum()), sum(len(times) for times in held)
    if found < least:
        raise ContractViolation(
            f"the load of {batch.definition.name!r} returns {found:,} rows from {format_window(batch.window)}, but the "
            f"table holds {least:,}, and without a key the missing rows cannot be identified: give the project a key, "
            f"or set ingestion.lateness to the span that the load returns again in full"
        )


def find_changes(batch: UpsertBatch, table: DeltaTable) -> Upsert:
    """Compares the accepted rows with the table by key.

    Args:
        batch: The batch.
        table: The project's table.

    Returns:
        The new, unchanged and corrected rows.
    """
    definition = batch.definition
    roles = Roles(definition.key, definition.target, definition.timestamp)
    upsert = Upsert(summarize_incoming(batch.accepted(), roles), roles)
    reach = _find_window(definition, table, upsert)
    for held in _read_window(batch, table, reach) if reach else ():
        upsert.compare(held)
    return upsert


def _find_window(definition: Project, table: DeltaTable, upsert: Upsert) -> Window | None:
    """Finds the event times of the table's rows that may share a key with incoming rows."""
    if definition.timestamp in definition.key:
        return upsert.incoming_window
    columns = list(dict.fromkeys([*definition.key, definition.timestamp]))
    parts = (part.filter(pa.array(upsert.match(part))) for part in merge_tables(read(table, columns), ROW_GROUP))
    times = [part[definition.timestamp].cast(pa.int64()).to_numpy() for part in parts if part.num_rows]
    return window_of(np.concatenate(times)) if times else None


def _upsert_by_key(batch: UpsertBatch, table: DeltaTable) -> CommitCounts:
    upsert = find_changes(batch, table)
    if not upsert.added and not upsert.corrected:
        return CommitCounts(table.version(), 0, 0)
    rows, replacing = upsert.rows_to_write(batch.accepted()), None
    if upsert.corrected:
        kept = SpilledTables(batch.area / f"kept-{table.version()}")
        for held in _read_window(batch, table, upsert.window):
            kept.add(held.filter(pa.array(~upsert.find_replaced(held))))
        rows, replacing = chain(kept, rows), within(batch.definition.timestamp, upsert.window)
    return CommitCounts(_write(batch, table, rows, replacing), upsert.added, upsert.corrected)


def _replace_window(batch: UpsertBatch, table: DeltaTable) -> CommitCounts:
    require_full_window(batch, table)
    held = _identities(_read_window(batch, table, batch.window))
    new = _identities(batch.accepted())
    added = len(new) - count_common(new, held)
    if not added and len(new) == len(held):
        return CommitCounts(table.version(), 0, 0)
    replacing = within(batch.definition.timestamp, batch.window)
    return CommitCounts(_write(batch, table, batch.accepted(), replacing), added, 0)


def _write(batch: UpsertBatch, table: DeltaTable | None, rows: Iterable[pa.Table], replacing: str | None = None) -> int:
    marks = [watermark_transaction(table, min(batch.window.end, window_of(batch.times()).end))]
    return write(batch.definition.name, table, rows, batch.schema, replacing, marks)


def _require_schema(batch: UpsertBatch, table: DeltaTable) -> None:
    expected = {field.name: field.type for field in batch.schema}
    if any(expected.get(field.name) != field.type for field in schema_of(table)):
        raise StateError(f"another ingest changed the columns of {batch.definition.name!r} at the same time: run again")


def _read_window(batch: UpsertBatch, table: DeltaTable, window: Window) -> Iterator[pa.Table]:
    """Reads the table's rows of a window, cast to the schema of the batch."""
    widened = batch.schema.names != schema_of(table).names
    for part in merge_tables(read(table, where=within(batch.definition.timestamp, window)), ROW_GROUP):
        yield cast_table(part, batch.schema)[0] if widened else part


def _identities(pieces: Iterable[pa.Table]) -> Identities:
    return np.concatenate([np.empty(0, "S16"), *(row_identities(piece) for piece in pieces)])
