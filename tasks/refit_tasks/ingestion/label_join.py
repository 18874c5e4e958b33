"""The label join: labels are matched to the rows of a project's table by key and written in one commit.

Labels of a file are joined all or none; those of the inbox (`label_inbox`) without the ones that break the contract.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.chunks import merge_tables
from refit.data.contract import Fault
from refit.data.rejected_rows import mask_value
from refit.data.split import window_of
from refit.errors import ContractViolation
from refit.labels import Labelling, Labels, parse_label_file
from refit.loads.csv_format import CsvFormat
from refit.project import Project, require_key
from refit.windows import Window
from refit_tasks.ingestion.label_file import read_label_file, write_points
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import ROW_GROUP, read, require_table, retry_on_conflict, schema_of, within, write
from refit_tasks.storage.staging import SpilledTables, staging_area
from refit_tasks.validation.contract import find_contract, judge_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

CSV = CsvFormat()
"""The form of a CSV file unless the user says otherwise."""
KEY_PURPOSE = "labels cannot be matched to rows"
"""The consequence of a missing key, for the error."""


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """The result of a join."""

    found: npt.NDArray[np.bool_]
    """For each label, whether the table holds its row."""
    arrived: int
    """The labels of rows that had none."""
    corrected: int
    """The labels that differ from the row's former label."""
    version: int
    """The version of the table after the join."""

    @property
    def unchanged(self) -> int:
        """The number of labels that the rows had already."""
        return int(self.found.sum()) - self.arrived - self.corrected

    @property
    def unknown(self) -> int:
        """The number of labels without a row in the table."""
        return int((~self.found).sum())


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Rows that break the contract with their new labels."""

    rows: pa.Table
    """The rows of the table with their new labels."""
    faults: list[Fault]
    """The broken rules, by position in `rows`."""


@dataclass(frozen=True, slots=True)
class _LabelChanges:
    """The changes that labels make to a table, with counts as in `JoinCounts`."""

    found: npt.NDArray[np.bool_]
    arrived: int
    corrected: int
    window: Window | None
    """The event times of the rows that change; `None` if none does."""


@dataclass(frozen=True, slots=True)
class JudgedLabels:
    """Labels, split into those whose rows keep the contract and those whose rows break it."""

    accepted: Labels
    change: _LabelChanges
    """The changes that the accepted labels make."""
    staged: SpilledTables
    """All rows of the changed window, with the accepted labels."""
    refused: tuple[RefusedRows, ...]
    """The rows that break the contract."""


def judge_labels(definition: Project, table: DeltaTable, labels: Labels, area: Path) -> JudgedLabels:
    """Splits labels into those whose rows keep the contract and the others; nothing is written.

    Args:
        definition: The project.
        table: The project's table at its newest version.
        labels: The labels.
        area: The staging directory.

    Returns:
        Both parts, and the changes that the accepted labels make.
    """
    refused = list[RefusedRows]()
    while True:
        change = _find_changes(definition, table, labels)
        staged = _stage_labelled_rows(definition, table, labels, change, area)
        broken = _find_refused_rows(definition, table, labels, staged) if staged.rows else []
        if not broken:
            return JudgedLabels(labels, change, staged, tuple(refused))
        refused += broken
        labels = _without(labels, broken)  # a rule may look at several rows, so the rest is judged again


def write_labels(definition: Project, table: DeltaTable, judged: JudgedLabels) -> JoinCounts:
    """Writes the accepted labels to their rows in one commit; writes nothing if no label changes.

    Args:
        definition: The project.
        table: The project's table at the version on which the labels were judged.
        judged: The labels.

    Returns:
        The counts and the version of the table.

    Raises:
        deltalake.exceptions.CommitFailedError: If another process has written since the table was opened.
    """
    change, version = judged.change, table.version()
    if change.window is not None:
        inside = within(definition.timestamp, change.window)
        version = write(definition.name, table, judged.staged, schema_of(table), inside)
    return JoinCounts(change.found, change.arrived, change.corrected, version)


def _stage_labelled_rows(
    definition: Project, table: DeltaTable, labels: Labels, change: _LabelChanges, area: Path
) -> SpilledTables:
    staged = SpilledTables(area / f"labelled-{table.version()}-{labels.rows.num_rows}")
    if change.window is not None:
        inside = within(definition.timestamp, change.window)
        for held in merge_tables(read(table, where=inside), ROW_GROUP):
            staged.add(labels.fill_in(held))
    return staged


def _without(labels: Labels, broken: list[RefusedRows]) -> Labels:
    keep = np.ones(labels.rows.num_rows, np.bool_)
    for one in broken:
        keep[labels.find(one.rows.take(pa.array(sorted({fault.row for fault in one.faults}))))] = False
    return Labels(labels.rows.filter(pa.array(keep)), labels.key, labels.target)


def _find_changes(definition: Project, table: DeltaTable, labels: Labels) -> _LabelChanges:
    columns = list(dict.fromkeys([*definition.key, definition.target, definition.timestamp]))
    arrived, corrected, times = 0, 0, [np.empty(0, np.int64)]
    found = np.zeros(labels.rows.num_rows, np.bool_)
    for held in merge_tables(read(table, columns, _search_condition(definition, labels)), ROW_GROUP):
        at = labels.find(held)
        mine, at = held.filter(pa.array(at >= 0)), at[at >= 0]
        differ, without = labels.find_changed(mine, at), np.asarray(mine[definition.target].is_null())
        found[at] = True
        arrived += int((differ & without).sum())
        corrected += int((differ & ~without).sum())
        times.append(mine[definition.timestamp].cast(pa.int64()).to_numpy()[differ])
    changing = np.concatenate(times)
    return _LabelChanges(found, arrived, corrected, window_of(changing) if len(changing) else None)


def _search_condition(definition: Project, labels: Labels) -> str | None:
    """Restricts the search to the event times of the labels, if the key contains the event time."""
    if definition.timestamp not in definition.key or not labels.rows.num_rows:
        return None
    times = labels.rows[definition.timestamp].cast(pa.int64()).to_numpy()
    return within(definition.timestamp, window_of(times))


def _find_refused_rows(
    definition: Project, table: DeltaTable, labels: Labels, staged: SpilledTables
) -> list[RefusedRows]:
    """Finds labelled rows that break a critical rule about the target, as an ingest would."""
    contract = find_contract(definition, schema_of(table), lambda: read(table))
    found = list[RefusedRows]()
    for piece in staged:
        rows = piece.filter(pa.array(labels.find(piece) >= 0))
        faults = [one for one in judge_rows(contract, rows).faults if definition.target in one.column.split(",")]
        if faults:
            found.append(RefusedRows(rows, faults))
    return found


def join_labels(definition: Project, file: Path, form: CsvFormat = CSV) -> Labelling:
    """Joins the labels of a file to the rows of a project's table by key.

    The write is a compare-and-set, so an ingest may run at the same time; its watermark does not move. If the source
    delivers a row again without its label, the label stays; with another label, the label is corrected. Older versions
    of the table do not change.

    Args:
        definition: The project.
        file: A CSV or Parquet file with the key columns and the target; other columns are ignored.
        form: The form of a CSV file.

    Returns:
        The counts of labels. The same file joined again changes nothing.

    Raises:
        ProjectError: If the project has no key.
        NotEnoughData: If the project has no table.
        LoadFailed: If the file cannot be read.
        ContractViolation: If the file or one of its labels breaks the contract; nothing is changed then.
        StateError: If concurrent writers win every time.
    """
    require_key(definition, KEY_PURPOSE)
    wanted = [*definition.key, definition.target]
    rows = read_label_file(file, definition.pii, form, wanted)
    with staging_area(definition.name) as area:
        done = retry_on_conflict(lambda: _judge_and_write(definition, str(file), rows, form, area), definition.name)
    with_project(log, definition.name).info("%d labels added, %d corrected", done.arrived, done.corrected)
    return done


def _judge_and_write(definition: Project, file: str, rows: pa.Table, form: CsvFormat, area: Path) -> Labelling:
    table = require_table(definition.name)
    schema = schema_of(table)
    labels, ignored = parse_label_file(definition, file, write_points(rows, schema, form), schema)
    judged = judge_labels(definition, table, labels, area)
    if judged.refused:
        raise _contract_error(definition, judged.refused)
    joined = write_labels(definition, table, judged)
    if labels.rows.num_rows and not joined.found.any():
        raise ContractViolation(
            f"none of the {labels.rows.num_rows:,} keys in {file} is in the table of {definition.name}, so nothing was "
            f"changed: check the columns {', '.join(definition.key)}, and the time zone of a time column"
        )
    return Labelling(
        rows=rows.num_rows,
        arrived=joined.arrived,
        corrected=joined.corrected,
        unchanged=joined.unchanged,
        unknown=joined.unknown,
        empty=labels.empty,
        repeated=labels.repeated,
        ignored=ignored,
        version=joined.version,
    )


def _contract_error(definition: Project, refused: tuple[RefusedRows, ...]) -> ContractViolation:
    first, count = refused[0].faults[0], sum(len(one.faults) for one in refused)
    value = mask_value(definition.pii, first.column, first.value)
    return ContractViolation(
        f"the label {value!r} breaks the data contract of {definition.name} ({first.rule} on "
        f"{first.column}, {count:,} rows), so nothing was changed: correct the file or the contract"
    )
