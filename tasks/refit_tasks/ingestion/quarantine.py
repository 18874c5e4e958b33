"""The quarantine's table, beside the project's: rows that broke the contract, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from refit.data.rejected_rows import Naming, Rejected, encode
from refit.data.schema import conform
from refit.project import Project
from refit_tasks.ingestion.row_filter import REASONS, TIME
from refit_tasks.storage.delta import open_table, read, redo, write
from refit_tasks.storage.staging import Pieces

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


def count_known(definition: Project, rejected: Pieces, schema: pa.Schema) -> int:
    """Counts the rejected rows without an event time that the quarantine holds: every load delivers those again.

    Args:
        definition: The project.
        rejected: The rejected rows of a batch.
        schema: The schema of the project's table.

    Returns:
        How many there are.
    """
    table = open_table(quarantine_of(definition))
    untimed = (piece.filter(piece[TIME].is_null()) for piece in rejected)
    naming, known = Naming(), _ids(table)
    ids = [_named(piece.drop_columns([TIME, REASONS]), schema, naming) for piece in untimed if known]
    return sum(pc.sum(pc.is_in(part, value_set=known)).as_py() or 0 for part in ids)


def keep_rejected(definition: Project, rejected: Pieces, at: datetime, schema: pa.Schema) -> None:
    """Puts the rejected rows of a batch into the quarantine; those that it already holds are not put in twice.

    Args:
        definition: The project.
        rejected: The rows with event time and reasons.
        at: The end of the ingest, UTC.
        schema: The schema of the project's table.
    """
    name = quarantine_of(definition)

    def step() -> int:
        table = open_table(name)
        # Written only if there is something: a commit without rows would make a version of nothing.
        fresh = [part for part in _as_kept(rejected, at, _ids(table), schema) if part.num_rows]
        return write(name, table, fresh, SCHEMA) if fresh else -1

    if rejected.rows:
        redo(step, name)


def _ids(table: DeltaTable | None) -> pa.Array:
    held = [part.column(0) for part in read(table, ["id"])] if table else []
    return pa.chunked_array(held, pa.string()).combine_chunks()


def _as_kept(rejected: Pieces, at: datetime, known: pa.Array, schema: pa.Schema) -> Iterator[pa.Table]:
    naming = Naming()
    for piece in rejected:
        raw = piece.drop_columns([TIME, REASONS])
        rows, ids = encode(raw), _named(raw, schema, naming)
        stamps = pa.repeat(pa.scalar(at, INSTANT), len(rows))
        kept = pa.table([ids, stamps, piece[TIME], piece[REASONS], pa.array(rows, pa.string())], schema=SCHEMA)
        yield kept.filter(pc.invert(pc.is_in(ids, value_set=known)))


def _named(raw: pa.Table, schema: pa.Schema, naming: Naming) -> pa.Array:
    """Names rows by their cells as the table would hold them, since one bad cell makes text of its whole column."""
    fitted, _ = conform(raw, pa.schema([field for field in schema if field.name in raw.column_names]))
    pairs = zip(encode(raw), encode(fitted), strict=True)
    return pa.array([naming.name(one, fitted=other) for one, other in pairs], pa.string())


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
