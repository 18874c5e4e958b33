"""How labels that have arrived get into a project's table: all of a file or nothing, in one commit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from refit.delivery import join
from refit.errors import ContractViolation, LoadFailed, NotEnoughData, ProjectError
from refit.labels import Labelling, Labels, read_labels
from refit.project import Project
from refit.split import span
from refit.windows import Window
from tasks.delta import ROW_GROUP, open_table, read, redo, schema_of, within, write
from tasks.expectations import contract_of, judge_rows
from tasks.staging import Pieces, staging_area

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Change:
    """What the labels change in a table."""

    known: int
    arrived: int
    corrected: int
    window: Window | None
    """The event times of the rows that change; `None` where none does."""


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
    if not definition.key:
        raise ProjectError(
            f"{definition.name} has no key, so nobody knows which row a label belongs to: name the columns of one in "
            f"the project file, as key=('id',)"
        )
    rows = _read_file(file)
    with staging_area(definition.name) as area:
        done = redo(lambda: _join(definition, str(file), rows, area), definition.name)
    log.info("%s: %d labels arrived, %d corrected", definition.name, done.arrived, done.corrected)
    return done


def _join(definition: Project, file: str, rows: pa.Table, area: Path) -> Labelling:
    table = open_table(definition.name)
    if table is None:
        raise NotEnoughData(f"{definition.name} has no table yet: ingest some rows first")
    labels, ignored = read_labels(definition, file, rows, schema_of(table))
    change, version = _compare(definition, table, labels), table.version()
    if labels.rows.num_rows and not change.known:
        raise ContractViolation(
            f"none of the {labels.rows.num_rows:,} keys in {file} is in the table of {definition.name}: nothing was "
            f"changed; check the columns {', '.join(definition.key)}, and the time zone where one is a time"
        )
    if change.window:
        version = _rewrite(definition, table, labels, change.window, area)
    return Labelling(
        rows=rows.num_rows,
        arrived=change.arrived,
        corrected=change.corrected,
        unchanged=change.known - change.arrived - change.corrected,
        unknown=labels.rows.num_rows - change.known,
        empty=labels.empty,
        repeated=labels.repeated,
        ignored=ignored,
        version=version,
    )


def _compare(definition: Project, table: DeltaTable, labels: Labels) -> _Change:
    columns = list(dict.fromkeys([*definition.key, definition.target, definition.timestamp]))
    known, arrived, corrected, times = 0, 0, 0, [np.empty(0, np.int64)]
    for held in join(read(table, columns, _reach(definition, labels)), ROW_GROUP):
        at = labels.find(held)
        mine, at = held.filter(pa.array(at >= 0)), at[at >= 0]
        differ, without = labels.differ(mine, at), np.asarray(mine[definition.target].is_null())
        known += len(at)
        arrived += int((differ & without).sum())
        corrected += int((differ & ~without).sum())
        times.append(mine[definition.timestamp].cast(pa.int64()).to_numpy()[differ])
    changing = np.concatenate(times)
    return _Change(known, arrived, corrected, span(changing) if len(changing) else None)


def _reach(definition: Project, labels: Labels) -> str | None:
    """Narrows the search where the key says when: to the event times of the labels."""
    if definition.timestamp not in definition.key or not labels.rows.num_rows:
        return None
    times = labels.rows[definition.timestamp].cast(pa.int64()).to_numpy()
    return within(definition.timestamp, span(times))


def _rewrite(definition: Project, table: DeltaTable, labels: Labels, window: Window, area: Path) -> int:
    inside = within(definition.timestamp, window)
    staged = Pieces(area / f"labelled-{table.version()}")
    for held in join(read(table, where=inside), ROW_GROUP):
        staged.add(labels.put(held))
    _require_contract(definition, table, labels, staged)
    return write(definition.name, table, staged, schema_of(table), inside)


def _require_contract(definition: Project, table: DeltaTable, labels: Labels, staged: Pieces) -> None:
    """Judges the labels as an ingest would: by the critical rules about the target alone."""
    contract = contract_of(definition, schema_of(table), lambda: read(table))
    for piece in staged:
        rows = piece.filter(pa.array(labels.find(piece) >= 0))
        broken = [fault for fault in judge_rows(contract, rows).faults if definition.target in fault.column.split(",")]
        if broken:
            raise ContractViolation(
                f"the label {broken[0].value!r} breaks the data contract of {definition.name} ({broken[0].rule} on "
                f"{broken[0].column}, {len(broken):,} rows): nothing was changed; correct the file or the contract"
            )


def _read_file(file: Path) -> pa.Table:
    """Reads all rows; the cells of a CSV file stay text, so that only the table says what they are."""
    from pyarrow import parquet

    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            return parquet.ParquetFile(file).read()
        return _read_csv(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise LoadFailed(
            f"{file} cannot be read ({str(error).splitlines()[0]}): give a CSV or Parquet file with a header"
        ) from error


def _read_csv(file: Path) -> pa.Table:
    from pyarrow import csv

    with csv.open_csv(file) as opened:
        names = opened.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.read_csv(file, convert_options=texts)
