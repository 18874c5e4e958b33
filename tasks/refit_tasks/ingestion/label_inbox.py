"""The inbox of a project's labels, `NAME__labels`: what was sent over HTTP and has not found its row yet.

A label may come before the row it belongs to is ingested, and a server must not rewrite a project's table for each one.
So labels are only appended here, and the next run that ingests gives them to their rows, all of them in one commit.
A label is kept as text, since the columns of the project's table may have other types by then.

Labels that wait in a project's inbox find their rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.casting import cast_table
from refit.data.fingerprint import IdentityIndex, row_identities
from refit.data.rejected_rows import decode_rows, encode_rows, write_reasons
from refit.inference.json_columns import kind_of
from refit.labels import Labelling, Labels
from refit.project import Project, require_key
from refit_tasks.ingestion.label_join import KEY_PURPOSE, JoinCounts, RefusedRows, judge_labels, write_labels
from refit_tasks.ingestion.quarantine import quarantine_rows
from refit_tasks.ingestion.row_filter import REASONS, TIME
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import (
    LABELS_SUFFIX,
    open_table,
    read,
    require_table,
    retry_on_conflict,
    schema_of,
    uri_of,
)
from refit_tasks.storage.predictions_table import FILE_RETENTION_HOURS
from refit_tasks.storage.staging import SpilledTables, staging_area

if TYPE_CHECKING:
    from deltalake import DeltaTable


SCHEMA = pa.schema([("arrived_at", pa.timestamp("us", tz="UTC")), ("row", pa.string())])
_RETENTION = {
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": f"interval {FILE_RETENTION_HOURS} hours",
}


def inbox_of(project: str) -> str:
    """Names a project's inbox.

    Args:
        project: The project's name.

    Returns:
        A name beside the project's.
    """
    return project + LABELS_SUFFIX


def label_column_kinds(definition: Project) -> dict[str, str]:
    """Names what a label consists of.

    Args:
        definition: The project.

    Returns:
        From each column of the key, and then the target, to its kind in the project's table.

    Raises:
        ProjectError: If the project has no key.
        NotEnoughData: If it has no table.
    """
    require_key(definition, KEY_PURPOSE)
    schema = schema_of(require_table(definition.name))
    return {name: kind_of(schema.field(name)) for name in (*definition.key, definition.target)}


def append_labels(project: str, parts: Sequence[tuple[pa.Table, datetime]]) -> None:
    """Appends labels in one commit; when it returns they are on disk.

    Args:
        project: The project's name.
        parts: Some rows of key and target, and when they arrived, UTC; a later one of a key corrects an earlier one.
    """
    from deltalake import write_deltalake

    name = inbox_of(project)
    texts = [encode_rows(rows) for rows, _ in parts]
    moments = [at for (_, at), those in zip(parts, texts, strict=True) for _ in those]
    kept = pa.table([moments, [text for those in texts for text in those]], schema=SCHEMA)

    def step() -> None:
        table = open_table(name)
        if table is None:
            write_deltalake(uri_of(name), kept, mode="error", configuration=_RETENTION)
        else:
            write_deltalake(table, kept, mode="append")

    retry_on_conflict(step, name)


def read_inbox(table: DeltaTable) -> pa.Table:
    """Reads an inbox.

    Args:
        table: The inbox.

    Returns:
        Its rows in the order in which they arrived.
    """
    return pa.concat_tables([SCHEMA.empty_table(), *read(table)]).sort_by("arrived_at").combine_chunks()


def cast_labels(held: pa.Table, schema: pa.Schema) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Makes cells of an inbox's texts.

    Args:
        held: Rows of an inbox.
        schema: The columns of the key and the target, as the project's table has them.

    Returns:
        As many rows of these columns, and which of them have a value in every one.
    """
    fitting, places = [schema.empty_table()], list[int]()
    for those, rows in decode_rows(held["row"].to_pylist()):
        fitting.append(cast_table(rows, schema)[0])
        places += those
    labels = pa.concat_tables(fitting).take(pa.array(np.argsort(places)))
    whole = np.ones(labels.num_rows, np.bool_)
    for name in labels.column_names:
        whole &= np.asarray(labels[name].is_valid())
    return labels, whole


def rewrite_inbox(table: DeltaTable, held: pa.Table) -> None:
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
        table.vacuum(FILE_RETENTION_HOURS, dry_run=False, enforce_retention_duration=False)


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _WaitingLabels:
    """What an inbox holds."""

    held: pa.Table
    """As it is stored."""
    whole: npt.NDArray[np.intp]
    """The places of rows whose cells are still of the table's types; others go on waiting."""
    of: npt.NDArray[np.intp]
    """Which label each of those is, or was corrected by."""
    last: npt.NDArray[np.bool_]
    """Which of those no later one has corrected."""
    labels: Labels
    """The last label of each key."""


@define_retry_task("join labels of {definition.name}", delay_seconds=2)
def join_waiting_labels(definition: Project, until: datetime) -> Labelling | None:
    """Gives rows the labels that were sent for them over HTTP, the last one of each key.

    A label whose row is not ingested yet goes on waiting. One that breaks the contract goes to the quarantine with its
    row. Killed at any moment, the next run finds the labels where they were.

    Args:
        definition: The project.
        until: The end of the ingest that went before, UTC.

    Returns:
        What came of the labels; `None` where none waits, or the project has no table.

    Raises:
        StateError: If others keep writing to the table.
    """
    inbox = open_table(inbox_of(definition.name))
    table = open_table(definition.name) if inbox else None
    if inbox is None or table is None:
        return None
    waiting = _read_waiting_labels(definition, inbox, table)
    if not waiting.held.num_rows:
        return None
    with staging_area(definition.name) as area:
        labels, joined = retry_on_conflict(
            lambda: _judge_and_write(definition, waiting.labels, area, until), definition.name
        )
    done = _remove_from_inbox(inbox, waiting, labels, joined)
    with_project(log, definition.name).info("%s", describe_labelling(done))
    return done


def describe_labelling(done: Labelling) -> str:
    """Says what came of labels.

    Args:
        done: What came of them.

    Returns:
        A line of words.
    """
    told = f"{done.arrived:,} labels arrived, {done.corrected:,} corrected, {done.unchanged:,} were there already"
    waiting = f", {done.unknown:,} wait for their rows" if done.unknown else ""
    return told + waiting + (f", {done.refused:,} broke the contract: see the quarantine" if done.refused else "")


def _read_waiting_labels(definition: Project, inbox: DeltaTable, table: DeltaTable) -> _WaitingLabels:
    schema = schema_of(table)
    held = read_inbox(inbox)
    columns = [*definition.key, definition.target]
    rows, whole = cast_labels(held, pa.schema([schema.field(name) for name in columns]))
    places = np.flatnonzero(whole)
    usable = rows.take(pa.array(places))
    last = ~IdentityIndex(row_identities(usable, definition.key)).superseded()
    labels = Labels(usable.filter(pa.array(last)), definition.key, definition.target)
    return _WaitingLabels(held, places, labels.find(usable), last, labels)


def _judge_and_write(definition: Project, labels: Labels, area: Path, until: datetime) -> tuple[Labels, JoinCounts]:
    table = open_table(definition.name)
    assert table is not None  # noqa: S101 - it was there, and nothing removes one
    judged = judge_labels(definition, table, labels, area)
    if judged.refused:
        _quarantine_refused(definition, judged.refused, SpilledTables(area / f"refused-{table.version()}"), until)
    return judged.accepted, write_labels(definition, table, judged)


def _quarantine_refused(
    definition: Project, refused: tuple[RefusedRows, ...], rejected: SpilledTables, until: datetime
) -> None:
    for one in refused:
        rows = sorted({fault.row for fault in one.faults})
        bad = one.rows.take(pa.array(rows))
        reasons = [write_reasons(fault for fault in one.faults if fault.row == row) for row in rows]
        times = bad[definition.timestamp]
        rejected.add(bad.append_column(TIME, times).append_column(REASONS, pa.array(reasons)))
    quarantine_rows(definition, rejected, until, refused[0].rows.schema)


def _remove_from_inbox(inbox: DeltaTable, waiting: _WaitingLabels, labels: Labels, joined: JoinCounts) -> Labelling:
    """Empties the inbox of labels that have found their rows, were refused, or were corrected by later ones."""
    at = labels.find(waiting.labels.rows)
    refused, unknown = at < 0, np.zeros(len(at), np.bool_)
    unknown[~refused] = ~joined.found[at[~refused]]
    stays = np.ones(waiting.held.num_rows, np.bool_)
    # What a refused label was to correct is tried once more by itself.
    stays[waiting.whole] = np.where(waiting.last, unknown[waiting.of], refused[waiting.of])
    if not stays.all():
        rewrite_inbox(inbox, waiting.held.filter(pa.array(stays)))
    return Labelling(
        rows=waiting.held.num_rows,
        arrived=joined.arrived,
        corrected=joined.corrected,
        unchanged=joined.unchanged,
        unknown=int(stays.sum()),
        empty=0,
        repeated=int((~waiting.last & ~refused[waiting.of]).sum()),
        refused=int(refused.sum()),
        ignored=(),
        version=joined.version,
    )
