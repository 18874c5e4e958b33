"""The label inbox of a project, the table `NAME__labels`: labels sent over HTTP that are not joined to rows yet.

A label may arrive before its row is ingested, and a server must not rewrite the project's table for each label. Labels
are therefore appended here, as text, since column types may change until then; the next run that ingests joins all of
them in one commit.
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

log = logging.getLogger(__name__)

SCHEMA = pa.schema([("arrived_at", pa.timestamp("us", tz="UTC")), ("row", pa.string())])
_RETENTION = {
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": f"interval {FILE_RETENTION_HOURS} hours",
}


def inbox_of(project: str) -> str:
    """Names the table of a project's label inbox.

    Args:
        project: The project's name.

    Returns:
        The table's name, `NAME__labels`.
    """
    return project + LABELS_SUFFIX


def label_column_kinds(definition: Project) -> dict[str, str]:
    """Reads the columns of a label and their kinds.

    Args:
        definition: The project.

    Returns:
        The kind of each key column and of the target, which is last, as in the project's table.

    Raises:
        ProjectError: If the project has no key.
        NotEnoughData: If the project has no table.
    """
    require_key(definition, KEY_PURPOSE)
    schema = schema_of(require_table(definition.name))
    return {name: kind_of(schema.field(name)) for name in (*definition.key, definition.target)}


def append_labels(project: str, parts: Sequence[tuple[pa.Table, datetime]]) -> None:
    """Appends labels to the inbox in one commit; they are durable when this returns.

    Args:
        project: The project's name.
        parts: Tables of key and target columns, each with its time of arrival, UTC. A later label of a key corrects an
            earlier one.
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
    """Reads all labels of an inbox.

    Args:
        table: The inbox.

    Returns:
        The labels, sorted by time of arrival.
    """
    return pa.concat_tables([SCHEMA.empty_table(), *read(table)]).sort_by("arrived_at").combine_chunks()


def cast_labels(held: pa.Table, schema: pa.Schema) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Casts the labels of an inbox from text to the types of the project's table.

    Args:
        held: Rows of an inbox.
        schema: The key columns and the target, as in the project's table.

    Returns:
        One row per label, and the mask of the rows in which every cell was cast.
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
    """Replaces the contents of an inbox, unless it has changed since it was read.

    Args:
        table: The inbox as it was read.
        held: The rows to keep.
    """
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError

    # Another run may have joined the same labels and emptied the inbox; at worst a label is joined twice.
    with suppress(CommitFailedError):
        write_deltalake(table, held, mode="overwrite")
        table.vacuum(FILE_RETENTION_HOURS, dry_run=False, enforce_retention_duration=False)


@dataclass(frozen=True, slots=True)
class _WaitingLabels:
    """The contents of an inbox."""

    held: pa.Table
    """The rows as stored."""
    whole: npt.NDArray[np.intp]
    """The positions of rows that could be cast to the table's types; the other rows stay in the inbox."""
    of: npt.NDArray[np.intp]
    """For each of those rows, the position in `labels` of its key's last label."""
    last: npt.NDArray[np.bool_]
    """The mask of those rows that no later label of the same key corrects."""
    labels: Labels
    """The last label of each key."""


@define_retry_task("join labels of {definition.name}", delay_seconds=2)
def join_waiting_labels(definition: Project, until: datetime) -> Labelling | None:
    """Joins the labels of the inbox to the project's rows, the last label of each key.

    A label whose row is not ingested yet stays in the inbox. A label that breaks the data contract is quarantined with
    its row. After a crash the next run finds the labels in the inbox.

    Args:
        definition: The project.
        until: The end of the preceding ingest, UTC.

    Returns:
        The counts of joined, waiting and refused labels; `None` if the inbox is empty or the project has no table.

    Raises:
        StateError: If concurrent writers win every time.
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
    """Describes the result of a label join in one line.

    Args:
        done: The counts of labels.

    Returns:
        The sentence, without a full stop.
    """
    joined = f"{done.arrived:,} labels added, {done.corrected:,} corrected, {done.unchanged:,} unchanged"
    waiting = f", {done.unknown:,} without a row yet" if done.unknown else ""
    return joined + waiting + (f", {done.refused:,} quarantined for breaking the contract" if done.refused else "")


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
    assert table is not None  # noqa: S101 - it existed before, and tables are not removed
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
    """Removes the labels that were joined, refused or corrected by a later one, and counts all of them."""
    at = labels.find(waiting.labels.rows)
    refused, unknown = at < 0, np.zeros(len(at), np.bool_)
    unknown[~refused] = ~joined.found[at[~refused]]
    stays = np.ones(waiting.held.num_rows, np.bool_)
    # A label that a refused one was to correct stays and is joined by the next run.
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
