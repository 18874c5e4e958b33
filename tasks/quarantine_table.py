"""The quarantine's table, beside the project's: rows that broke the contract, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from refit.project import Project
from refit.rejects import Naming, Rejected, encode
from tasks.delta import open_table, read, redo, write
from tasks.sift import REASONS, TIME
from tasks.staging import Pieces

if TYPE_CHECKING:
    from deltalake import DeltaTable

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("quarantined_at", INSTANT),
        ("event_time", INSTANT),
        ("reasons", pa.string()),
        ("row", pa.string()),
    ]
)


def quarantine_of(definition: Project) -> str:
    """Names a project's quarantine table.

    Args:
        definition: The project.

    Returns:
        A name beside the project's.
    """
    return f"{definition.name}__quarantine"


def all_rejected(table: DeltaTable) -> Iterator[Rejected]:
    """Reads a quarantine.

    Args:
        table: The quarantine's table.

    Yields:
        Its rows, in any order.
    """
    for part in read(table):
        for row in part.to_pylist():
            yield Rejected(**row | {"reasons": tuple(json.loads(row["reasons"]))})


def keep_rejected(definition: Project, rejected: Pieces, at: datetime) -> None:
    """Puts the rejected rows of a batch into the quarantine; those that it already holds are not put in twice.

    Args:
        definition: The project.
        rejected: The rows with event time and reasons.
        at: The end of the ingest, UTC.
    """
    name = quarantine_of(definition)

    def step() -> int:
        table = open_table(name)
        held = [part.column(0) for part in read(table, ["id"])] if table else []
        known = pa.chunked_array(held, pa.string())
        # Written only if there is something: a commit without rows would make a version of nothing.
        fresh = [part for part in _as_kept(rejected, at, known) if part.num_rows]
        return write(name, table, fresh, SCHEMA) if fresh else -1

    if rejected.rows:
        redo(step, name)


def _as_kept(rejected: Pieces, at: datetime, known: pa.ChunkedArray) -> Iterator[pa.Table]:
    naming = Naming()
    for piece in rejected:
        rows = encode(piece.drop_columns([TIME, REASONS]))
        ids = pa.array([naming.name(row) for row in rows], pa.string())
        stamps = pa.repeat(pa.scalar(at, INSTANT), len(rows))
        kept = pa.table([ids, stamps, piece[TIME], piece[REASONS], pa.array(rows, pa.string())], schema=SCHEMA)
        yield kept.filter(pc.invert(pc.is_in(ids, value_set=known.combine_chunks())))


def forget(definition: Project, ids: pa.Array) -> None:
    """Takes rows out of the quarantine.

    Args:
        definition: The project.
        ids: Their ids; one that is not there is no fault.
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
        redo(step, name)
