"""Labels that have arrived are put into a project's table, by key, in one commit.

Files of labels, read whole: a label is a key and a value.

How labels that have arrived get into a project's table: all of a file or nothing, in one commit.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.data.chunks import merge_tables
from refit.data.contract import Fault
from refit.data.rejected_rows import describe_masked_error, mask_value
from refit.data.split import window_of
from refit.errors import ContractViolation, LoadFailed
from refit.labels import Labelling, Labels, parse_label_file
from refit.project import Project, require_key
from refit.windows import Window
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import ROW_GROUP, read, require_table, retry_on_conflict, schema_of, within, write
from refit_tasks.storage.staging import SpilledTables, staging_area
from refit_tasks.validation.contract import find_contract, judge_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """What some labels have changed in a table."""

    found: npt.NDArray[np.bool_]
    """Over the labels: whether the table holds their row."""
    arrived: int
    corrected: int
    version: int
    """The version of the table afterwards."""

    @property
    def unchanged(self) -> int:
        """How many labels were there already."""
        return int(self.found.sum()) - self.arrived - self.corrected

    @property
    def unknown(self) -> int:
        """How many labels are of rows that the table does not hold."""
        return int((~self.found).sum())


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Rows that would break the contract with their new labels."""

    rows: pa.Table
    """Rows of the table, labelled."""
    faults: list[Fault]


KEY_PURPOSE = "labels cannot be matched to rows"
"""The consequence of a missing key."""


@dataclass(frozen=True, slots=True)
class _LabelChanges:
    """What the labels would change."""

    found: npt.NDArray[np.bool_]
    arrived: int
    corrected: int
    window: Window | None
    """The event times of the rows that change; `None` where none does."""


@dataclass(frozen=True, slots=True)
class JudgedLabels:
    """Labels, split by whether their rows keep the contract with them."""

    accepted: Labels
    change: _LabelChanges
    """What the accepted ones change."""
    staged: SpilledTables
    """The rows of the window in which they change something, with their labels."""
    refused: tuple[RefusedRows, ...]


def judge_labels(definition: Project, table: DeltaTable, labels: Labels, area: Path) -> JudgedLabels:
    """Splits labels into those whose rows keep the contract with them, and the others; nothing is written.

    Args:
        definition: The project.
        table: Its table, just opened.
        labels: The labels.
        area: Scratch space.

    Returns:
        Both parts, and what the accepted ones change.
    """
    refused = list[RefusedRows]()
    while True:
        change = _find_changes(definition, table, labels)
        staged = _stage_labelled_rows(definition, table, labels, change, area)
        broken = _find_refused_rows(definition, table, labels, staged) if staged.rows else []
        if not broken:
            return JudgedLabels(labels, change, staged, tuple(refused))
        refused += broken
        labels = _without(labels, broken)  # a rule may look at several rows, so what is left is judged anew


def write_labels(definition: Project, table: DeltaTable, judged: JudgedLabels) -> JoinCounts:
    """Gives rows of a table the labels that were accepted, in one commit; none if nothing changes.

    Args:
        definition: The project.
        table: Its table, as it was when they were judged.
        judged: The labels.

    Returns:
        What came of them.

    Raises:
        deltalake.exceptions.CommitFailedError: If somebody else has written since the table was opened.
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
    """Narrows the search where the key says when: to the event times of the labels."""
    if definition.timestamp not in definition.key or not labels.rows.num_rows:
        return None
    times = labels.rows[definition.timestamp].cast(pa.int64()).to_numpy()
    return within(definition.timestamp, window_of(times))


def _find_refused_rows(
    definition: Project, table: DeltaTable, labels: Labels, staged: SpilledTables
) -> list[RefusedRows]:
    """Judges the labels as an ingest would: by the critical rules about the target alone."""
    contract = find_contract(definition, schema_of(table), lambda: read(table))
    found = list[RefusedRows]()
    for piece in staged:
        rows = piece.filter(pa.array(labels.find(piece) >= 0))
        faults = [one for one in judge_rows(contract, rows).faults if definition.target in one.column.split(",")]
        if faults:
            found.append(RefusedRows(rows, faults))
    return found


def read_label_file(file: Path, pii: Collection[str] = ()) -> pa.Table:
    """Reads all rows of a file; the cells of a CSV file stay text, so that only the table says what they are.

    Args:
        file: A CSV or Parquet file.
        pii: The columns that identify a person: where there are any, no row of the file is shown.

    Returns:
        Its rows.

    Raises:
        LoadFailed: If it cannot be read.
    """
    from pyarrow import parquet

    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            return parquet.ParquetFile(file).read()
        return _read_csv(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        told = describe_masked_error(pii, error) if pii else str(error).splitlines()[0]
        cause = None if pii else error  # it would be printed, with its message
        raise LoadFailed(f"{file} cannot be read ({told}): give a CSV or Parquet file with a header") from cause


def _read_csv(file: Path) -> pa.Table:
    from pyarrow import csv

    with csv.open_csv(file) as opened:
        names = opened.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.read_csv(file, convert_options=texts)


log = logging.getLogger(__name__)


def join_labels(definition: Project, file: Path) -> Labelling:
    """Gives rows of a project's table the labels of a file, by key.

    It is a compare-and-set, so it may run beside an ingest. The ingest's watermark stays where it is. A source that
    delivers such a row again without its label does not erase it; one that delivers it with another label corrects it.
    Older versions of the table stay as they were.

    Args:
        definition: The project.
        file: A CSV or Parquet file with the key columns and the target; other columns are left out.

    Returns:
        What came of each row of the file. The same file once more changes nothing.

    Raises:
        ProjectError: If the project has no key.
        NotEnoughData: If it has no table.
        LoadFailed: If the file cannot be read.
        ContractViolation: If the file is not fit; nothing was changed then.
        StateError: If others keep writing to the table.
    """
    require_key(definition, KEY_PURPOSE)
    rows = read_label_file(file, definition.pii)
    with staging_area(definition.name) as area:
        done = retry_on_conflict(lambda: _judge_and_write(definition, str(file), rows, area), definition.name)
    with_project(log, definition.name).info("%d labels arrived, %d corrected", done.arrived, done.corrected)
    return done


def _judge_and_write(definition: Project, file: str, rows: pa.Table, area: Path) -> Labelling:
    table = require_table(definition.name)
    labels, ignored = parse_label_file(definition, file, rows, schema_of(table))
    judged = judge_labels(definition, table, labels, area)
    if judged.refused:
        raise _contract_error(definition, judged.refused)
    joined = write_labels(definition, table, judged)
    if labels.rows.num_rows and not joined.found.any():
        raise ContractViolation(
            f"none of the {labels.rows.num_rows:,} keys in {file} is in the table of {definition.name}: nothing was "
            f"changed; check the columns {', '.join(definition.key)}, and the time zone where one is a time"
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
        f"{first.column}, {count:,} rows): nothing was changed; correct the file or the contract"
    )
