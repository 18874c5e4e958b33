"""The inbox of a project's labels, `NAME__labels`: what was sent over HTTP and has not found its row yet.

A label may come before the row it belongs to is ingested, and a server must not rewrite a project's table for each one.
So labels are only appended here, and the next run that ingests gives them to their rows, all of them in one commit.
A label is kept as text, since the columns of the project's table may have other types by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.casting import conform
from refit.data.rejected_rows import decode, encode
from refit.errors import NotEnoughData
from refit.inference.json_columns import kind_of
from refit.project import Project
from refit_tasks.ingestion.label_join import require_key
from refit_tasks.storage.delta import open_table, read, redo, schema_of, uri_of
from refit_tasks.storage.predictions_table import READERS_HOURS
from refit_tasks.storage.table_names import LABELS

if TYPE_CHECKING:
    from deltalake import DeltaTable

SCHEMA = pa.schema([("arrived_at", pa.timestamp("us", tz="UTC")), ("row", pa.string())])
_KEPT = {
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": f"interval {READERS_HOURS} hours",
}


def labels_of(project: str) -> str:
    """Names a project's inbox.

    Args:
        project: The project's name.

    Returns:
        A name beside the project's.
    """
    return project + LABELS


def label_kinds(definition: Project) -> dict[str, str]:
    """Names what a label consists of.

    Args:
        definition: The project.

    Returns:
        From each column of the key, and then the target, to its kind in the project's table.

    Raises:
        ProjectError: If the project has no key.
        NotEnoughData: If it has no table.
    """
    require_key(definition)
    table = open_table(definition.name)
    if table is None:
        raise NotEnoughData(f"{definition.name} has no table yet: ingest some rows first")
    schema = schema_of(table)
    return {name: kind_of(schema.field(name)) for name in (*definition.key, definition.target)}


def put_in(project: str, parts: Sequence[tuple[pa.Table, datetime]]) -> None:
    """Appends labels in one commit; when it returns they are on disk.

    Args:
        project: The project's name.
        parts: Some rows of key and target, and when they arrived, UTC; a later one of a key corrects an earlier one.
    """
    from deltalake import write_deltalake

    name = labels_of(project)
    texts = [encode(rows) for rows, _ in parts]
    moments = [at for (_, at), those in zip(parts, texts, strict=True) for _ in those]
    kept = pa.table([moments, [text for those in texts for text in those]], schema=SCHEMA)

    def step() -> None:
        table = open_table(name)
        if table is None:
            write_deltalake(uri_of(name), kept, mode="error", configuration=_KEPT)
        else:
            write_deltalake(table, kept, mode="append")

    redo(step, name)


def all_in(table: DeltaTable) -> pa.Table:
    """Reads an inbox.

    Args:
        table: The inbox.

    Returns:
        Its rows in the order in which they arrived.
    """
    return pa.concat_tables([SCHEMA.empty_table(), *read(table)]).sort_by("arrived_at").combine_chunks()


def typed(held: pa.Table, schema: pa.Schema) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Makes cells of an inbox's texts.

    Args:
        held: Rows of an inbox.
        schema: The columns of the key and the target, as the project's table has them.

    Returns:
        As many rows of these columns, and which of them have a value in every one.
    """
    fitting, places = [schema.empty_table()], list[int]()
    for those, rows in decode(held["row"].to_pylist()):
        fitting.append(conform(rows, schema)[0])
        places += those
    labels = pa.concat_tables(fitting).take(pa.array(np.argsort(places)))
    whole = np.ones(labels.num_rows, np.bool_)
    for name in labels.column_names:
        whole &= np.asarray(labels[name].is_valid())
    return labels, whole


def leave_in(table: DeltaTable, held: pa.Table) -> None:
    """Empties an inbox of all but some rows. What has arrived since it was read stays.

    Args:
        table: The inbox, as it was read.
        held: The rows that stay.
    """
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError

    # Where another run has taken the same labels it has emptied the inbox, too; a label is there twice at worst.
    with suppress(CommitFailedError):
        write_deltalake(table, held, mode="overwrite")
        table.vacuum(READERS_HOURS, dry_run=False, enforce_retention_duration=False)
