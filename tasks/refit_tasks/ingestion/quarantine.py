"""The quarantine: adding rows that break the data contract, and re-admitting those that keep the current one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import cast_table
from refit.data.contract import Contract
from refit.data.fingerprint import IdentityIndex, row_identities
from refit.data.rejected_rows import NOT_LOADED, SUPERSEDED, RejectedRow, ReplayCounts, RowIds, decode_rows, encode_rows
from refit.data.split import window_of
from refit.project import Project
from refit.windows import BEGINNING, Window
from refit_tasks.ingestion.row_filter import REASONS, TIME, find_unplaceable_rows
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, retry_on_conflict, schema_of, within, write
from refit_tasks.storage.quarantine_table import (
    INSTANT,
    SCHEMA,
    count_quarantined,
    quarantine_of,
    read_quarantine,
)
from refit_tasks.storage.staging import SpilledTables, staging_area
from refit_tasks.validation.contract import find_contract, judge_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


def count_already_quarantined(definition: Project, rejected: SpilledTables, schema: pa.Schema) -> int:
    """Counts the rejected rows without an event time that are quarantined already, since every load returns them again.

    Args:
        definition: The project.
        rejected: The rejected rows of a batch.
        schema: The schema of the project's table.

    Returns:
        The number of such rows.
    """
    if not rejected.rows:
        return 0
    untimed = (piece.filter(piece[TIME].is_null()) for piece in rejected)
    naming, known = RowIds(), _read_ids(open_table(quarantine_of(definition)))
    ids = [_assign_ids(piece.drop_columns([TIME, REASONS]), schema, naming) for piece in untimed if known]
    return sum(pc.sum(pc.is_in(part, value_set=known)).as_py() or 0 for part in ids)


def quarantine_rows(definition: Project, rejected: SpilledTables, at: datetime, schema: pa.Schema) -> None:
    """Adds the rejected rows of a batch to the quarantine, except those that it holds already.

    Args:
        definition: The project.
        rejected: The rows with their event times and reasons.
        at: The end of the ingest, UTC.
        schema: The schema of the project's table.
    """
    name = quarantine_of(definition)

    def step() -> int:
        table = open_table(name)
        # A commit without rows would still make a version.
        fresh = [part for part in _to_quarantine_rows(rejected, at, _read_ids(table), schema) if part.num_rows]
        return write(name, table, fresh, SCHEMA) if fresh else -1

    if rejected.rows:
        retry_on_conflict(step, name)


def _read_ids(table: DeltaTable | None) -> pa.Array:
    held = [part.column(0) for part in read(table, ["id"])] if table else []
    return pa.chunked_array(held, pa.string()).combine_chunks()


def _to_quarantine_rows(
    rejected: SpilledTables, at: datetime, known: pa.Array, schema: pa.Schema
) -> Iterator[pa.Table]:
    naming = RowIds()
    for piece in rejected:
        raw = piece.drop_columns([TIME, REASONS])
        rows, ids = encode_rows(raw), _assign_ids(raw, schema, naming)
        stamps = pa.repeat(pa.scalar(at, INSTANT), len(rows))
        kept = pa.table([ids, stamps, piece[TIME], piece[REASONS], pa.array(rows, pa.string())], schema=SCHEMA)
        yield kept.filter(pc.invert(pc.is_in(ids, value_set=known)))


def _assign_ids(raw: pa.Table, schema: pa.Schema, naming: RowIds) -> pa.Array:
    """Derives the ids of rows from their cells as cast to the table: one bad cell turns its whole column into text."""
    fitted, _ = cast_table(raw, pa.schema([field for field in schema if field.name in raw.column_names]))
    pairs = zip(encode_rows(raw), encode_rows(fitted), strict=True)
    return pa.array([naming.assign(one, fitted=other) for one, other in pairs], pa.string())


def remove_from_quarantine(definition: Project, ids: pa.Array) -> None:
    """Removes rows from the quarantine.

    Args:
        definition: The project.
        ids: The ids of the rows; unknown ids are ignored.
    """
    from deltalake import CommitProperties

    name = quarantine_of(definition)

    def step() -> None:
        if table := open_table(name):
            table.merge(
                pa.table({"id": ids}),
                predicate="held.id = gone.id",
                source_alias="gone",
                target_alias="held",
                commit_properties=CommitProperties(max_commit_retries=0),
            ).when_matched_delete().execute()

    if len(ids):
        retry_on_conflict(step, name)


def replay_quarantine(definition: Project, at: datetime) -> ReplayCounts:
    """Validates the quarantined rows by the current contract, and writes those that pass to the project's table.

    A row whose key is in the table stays in the quarantine, since an older row never replaces a newer one; a row that
    is in the table with identical cells is removed. Of several rows with one key, the one quarantined last is written.
    The table is written before the quarantine, so no row is lost; after a crash between the two, the next replay finds
    the rows in the table and removes them from the quarantine.

    Args:
        definition: The project.
        at: The time of the replay, UTC; rows with a later event time stay.

    Returns:
        The numbers of re-admitted and of remaining rows.
    """
    table, held = open_table(definition.name), open_table(quarantine_of(definition))
    if table and held:
        ids, rows = _select_passing(definition, table, list(read_quarantine(held)), Window(BEGINNING, at))
        with staging_area(definition.name):  # shows `refit doctor` that the table is being written
            new, same = retry_on_conflict(lambda: _append_new(definition, rows), definition.name)
        remove_from_quarantine(definition, ids.filter(pa.array(new | same)))
        done = ReplayCounts(int(new.sum()), count_quarantined(definition))
    else:
        done = ReplayCounts(0, count_quarantined(definition))
    with_project(log, definition.name).info(
        "%d rows re-admitted, %d remain in quarantine", done.readmitted, done.remaining
    )
    return done


def _select_passing(
    definition: Project, table: DeltaTable, rejected: list[RejectedRow], window: Window
) -> tuple[pa.Array, pa.Table]:
    """Selects the rows that keep the current contract; returns their ids and the rows, cast to the table's schema."""
    schema = schema_of(table)
    contract = find_contract(definition, schema, lambda: read(table))
    known = [row for row in rejected if not {reason["rule"] for reason in row.reasons} & {SUPERSEDED, NOT_LOADED}]
    known.sort(key=lambda row: (row.quarantined_at, row.id))
    parts = [
        _cast_placeable(definition, piece, places, schema, window)
        for places, piece in decode_rows([r.row for r in known])
    ]
    rows = pa.concat_tables([schema.empty_table(), *(piece for _, piece in parts)])
    places = np.concatenate([np.empty(0, np.intp), *(places for places, _ in parts)])
    order = np.argsort(places)
    good = order[_mask_passing(definition, contract, rows.take(pa.array(order)))]
    return pa.array([known[place].id for place in places[good]], pa.string()), rows.take(pa.array(good))


def _cast_placeable(
    definition: Project, raw: pa.Table, places: list[int], schema: pa.Schema, window: Window
) -> tuple[np.ndarray, pa.Table]:
    piece, faults = cast_table(raw, schema)
    good = np.ones(len(places), np.bool_)
    good[[fault.row for fault in (*faults, *find_unplaceable_rows(definition, window, piece))]] = False
    return np.array(places)[good], piece.filter(pa.array(good))


def _mask_passing(definition: Project, contract: Contract, rows: pa.Table) -> np.ndarray:
    """Masks the rows that keep the contract, only the last one of each key."""
    good = np.ones(rows.num_rows, np.bool_)
    size = definition.ingestion.piece_rows
    for start in range(0, rows.num_rows, size):
        good[[start + fault.row for fault in judge_rows(contract, rows.slice(start, size)).faults]] = False
    if definition.key:
        passing = np.flatnonzero(good)
        repeated = IdentityIndex(row_identities(rows.filter(pa.array(good)), definition.key)).superseded()
        good[passing[repeated]] = False
    return good


def _append_new(definition: Project, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Appends the rows whose key is new; returns the masks of those and of the rows that the table holds unchanged."""
    table = open_table(definition.name)
    keys, contents = row_identities(rows, definition.key or None), row_identities(rows)
    held, same = np.zeros(rows.num_rows, np.bool_), np.zeros(rows.num_rows, np.bool_)
    for part in _read_similar(definition, table, rows) if table and rows.num_rows else ():
        held |= np.isin(keys, row_identities(part, definition.key or None))
        same |= np.isin(contents, row_identities(part))
    if (~held).any():
        write(definition.name, table, [rows.filter(pa.array(~held))], rows.schema)
    return ~held, same


def _read_similar(definition: Project, table: DeltaTable, rows: pa.Table) -> Iterator[pa.Table]:
    """Reads the rows of the table that may have the same key or, without a key, the same contents."""
    times = rows[definition.timestamp].cast(pa.int64()).to_numpy()
    anywhere = definition.key and definition.timestamp not in definition.key
    return read(table, where=None if anywhere else within(definition.timestamp, window_of(times)))
