"""How labels that have arrived get into a project's table: all of a file or nothing, in one commit."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from refit.data.pii import shown
from refit.errors import ContractViolation, NotEnoughData
from refit.labels import Labelling, Labels, read_labels
from refit.project import Project
from refit_tasks.ingestion.label_files import read_label_file
from refit_tasks.ingestion.label_join import Broken, Refuse, require_key, settle
from refit_tasks.storage.delta import open_table, redo, schema_of
from refit_tasks.storage.staging import staging_area

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
    require_key(definition)
    rows = read_label_file(file, definition.pii)
    with staging_area(definition.name) as area:
        done = redo(lambda: _join(definition, str(file), rows, area), definition.name)
    log.info("%s: %d labels arrived, %d corrected", definition.name, done.arrived, done.corrected)
    return done


def _join(definition: Project, file: str, rows: pa.Table, area: Path) -> Labelling:
    table = open_table(definition.name)
    if table is None:
        raise NotEnoughData(f"{definition.name} has no table yet: ingest some rows first")
    labels, ignored = read_labels(definition, file, rows, schema_of(table))
    _, joined = settle(definition, table, labels, area, _refuse_all(definition))
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


def _refuse_all(definition: Project) -> Refuse:
    def refuse(_labels: Labels, broken: list[Broken]) -> Labels:
        first, count = broken[0].faults[0], sum(len(one.faults) for one in broken)
        value = shown(definition.pii, first.column, first.value)
        raise ContractViolation(
            f"the label {value!r} breaks the data contract of {definition.name} ({first.rule} on "
            f"{first.column}, {count:,} rows): nothing was changed; correct the file or the contract"
        )

    return refuse
