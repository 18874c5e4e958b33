"""What can be done with quarantined rows: count them, list them, and judge them again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from heapq import nlargest
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from refit.data.contract import Contract
from refit.data.fingerprint import Index, identities
from refit.data.rejected_rows import NOT_LOADED, SUPERSEDED, Rejected, Replay, decode
from refit.data.schema import conform
from refit.data.split import span
from refit.project import Project
from refit.windows import BEGINNING, Window
from refit_tasks.ingestion.quarantine import all_rejected, forget, quarantine_of
from refit_tasks.ingestion.row_filter import misplaced
from refit_tasks.storage.delta import open_table, read, redo, schema_of, within, write
from refit_tasks.storage.staging import staging_area
from refit_tasks.validation.contract import contract_of, judge_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


def count_quarantined(definition: Project) -> int:
    """Counts the rows in a project's quarantine.

    Args:
        definition: The project.

    Returns:
        How many there are.
    """
    table = open_table(quarantine_of(definition))
    return table.count() if table else 0


def quarantined(definition: Project, limit: int) -> list[Rejected]:
    """Lists a project's quarantined rows.

    Args:
        definition: The project.
        limit: The most rows to list.

    Returns:
        The newest ones first.
    """
    table = open_table(quarantine_of(definition))
    rows = all_rejected(table) if table else iter(())
    return nlargest(limit, rows, key=lambda row: (row.quarantined_at, row.id))


def replay(definition: Project, at: datetime) -> Replay:
    """Judges the quarantined rows by today's contract, and lets those that pass into the project's table.

    A row whose key the table holds stays in the quarantine, since an older row never beats a newer one; one that the
    table holds already, cell by cell, leaves it. Of several with one key the one quarantined last is let in. The data
    is written before the quarantine, so a row is never in neither; after a crash between the two, the next replay
    finds the rows in the table and takes them out of the quarantine.

    Args:
        definition: The project.
        at: When, UTC; rows from after that stay.

    Returns:
        How many rows were let in, and how many are left.
    """
    table, held = open_table(definition.name), open_table(quarantine_of(definition))
    if table and held:
        ids, rows = _passing(definition, table, list(all_rejected(held)), Window(BEGINNING, at))
        with staging_area(definition.name):  # tells the doctor that the table is being written
            new, same = redo(lambda: _admit(definition, rows), definition.name)
        forget(definition, ids.filter(pa.array(new | same)))
        done = Replay(int(new.sum()), count_quarantined(definition))
    else:
        done = Replay(0, count_quarantined(definition))
    log.info("%s: %d rows re-admitted, %d remain in quarantine", definition.name, done.readmitted, done.remaining)
    return done


def _passing(
    definition: Project, table: DeltaTable, rejected: list[Rejected], window: Window
) -> tuple[pa.Array, pa.Table]:
    """Picks the rows that keep the contract now; gives their ids and the rows as the table would hold them."""
    schema = schema_of(table)
    contract = contract_of(definition, schema, lambda: read(table))
    known = [row for row in rejected if not {reason["rule"] for reason in row.reasons} & {SUPERSEDED, NOT_LOADED}]
    known.sort(key=lambda row: (row.quarantined_at, row.id))
    parts = [_fitting(definition, piece, places, schema, window) for places, piece in decode([r.row for r in known])]
    rows = pa.concat_tables([schema.empty_table(), *(piece for _, piece in parts)])
    places = np.concatenate([np.empty(0, np.intp), *(places for places, _ in parts)])
    order = np.argsort(places)
    good = order[_keeping(definition, contract, rows.take(pa.array(order)))]
    return pa.array([known[place].id for place in places[good]], pa.string()), rows.take(pa.array(good))


def _fitting(
    definition: Project, raw: pa.Table, places: list[int], schema: pa.Schema, window: Window
) -> tuple[np.ndarray, pa.Table]:
    piece, faults = conform(raw, schema)
    good = np.ones(len(places), np.bool_)
    good[[fault.row for fault in (*faults, *misplaced(definition, window, piece))]] = False
    return np.array(places)[good], piece.filter(pa.array(good))


def _keeping(definition: Project, contract: Contract, rows: pa.Table) -> np.ndarray:
    """Gives the mask of the rows that keep the contract; of several with one key the last."""
    good = np.ones(rows.num_rows, np.bool_)
    size = definition.ingestion.piece_rows
    for start in range(0, rows.num_rows, size):
        good[[start + fault.row for fault in judge_rows(contract, rows.slice(start, size)).faults]] = False
    if definition.key:
        passing = np.flatnonzero(good)
        repeated = Index(identities(rows.filter(pa.array(good)), definition.key)).superseded()
        good[passing[repeated]] = False
    return good


def _admit(definition: Project, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Appends the rows that the table does not hold; gives the masks of those and of the ones it holds as they are."""
    table = open_table(definition.name)
    keys, contents = identities(rows, definition.key or None), identities(rows)
    held, same = np.zeros(rows.num_rows, np.bool_), np.zeros(rows.num_rows, np.bool_)
    for part in _near(definition, table, rows) if table and rows.num_rows else ():
        held |= np.isin(keys, identities(part, definition.key or None))
        same |= np.isin(contents, identities(part))
    if (~held).any():
        write(definition.name, table, [rows.filter(pa.array(~held))], rows.schema)
    return ~held, same


def _near(definition: Project, table: DeltaTable, rows: pa.Table) -> Iterator[pa.Table]:
    """Reads the rows of the table that may have the same key, or content where there is no key."""
    times = rows[definition.timestamp].cast(pa.int64()).to_numpy()
    anywhere = definition.key and definition.timestamp not in definition.key
    return read(table, where=None if anywhere else within(definition.timestamp, span(times)))
