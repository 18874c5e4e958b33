"""What a batch may be scored on: rows that keep the data contract, but for what it says of the target.

Where the rows of a batch come from, the project's own load, a file or a Delta table, and which are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from glob import escape
from pathlib import Path

import pyarrow as pa

from refit import sources
from refit.data.contract import Contract
from refit.data.rejected_rows import NOT_LOADED
from refit.data.schema import compare_schemas, find_invalid_names
from refit.errors import ContractViolation, LoadFailed, ProjectError, UnusableTime
from refit.project import Project, Rows
from refit.records.references import Champion
from refit.results.score import EVERYTHING, ScoreRequest
from refit.windows import Window, require_past
from refit_tasks.ingestion.load import stage
from refit_tasks.ingestion.quarantine import count_known, keep_rejected
from refit_tasks.ingestion.row_filter import REASONS, RowFilter
from refit_tasks.storage.delta import open_table, read, require_table, schema_of
from refit_tasks.storage.predictions_table import scored_until
from refit_tasks.storage.staging import SpilledTables
from refit_tasks.validation.contract import contract_of, judge_batch


@dataclass(frozen=True, slots=True)
class AcceptedRows:
    """The rows of a batch, sorted."""

    sieve: RowFilter
    warnings: tuple[str, ...]

    @property
    def rows_in(self) -> int:
        """All rows that came."""
        return self.sieve.accepted_rows + self.sieve.rejected.rows


def table_schema(definition: Project) -> pa.Schema:
    """Gives the schema of a project's table, which every row is held to.

    Args:
        definition: The project.

    Returns:
        The schema.

    Raises:
        NotEnoughData: If there is no table.
    """
    return schema_of(require_table(definition.name))


def load_and_validate(
    definition: Project, sought: ScoreRequest, features: Collection[str], schema: pa.Schema, area: Path
) -> AcceptedRows | None:
    """Loads and judges the rows of a batch; those that break the contract go to the quarantine.

    Args:
        definition: The project.
        sought: Which rows.
        features: What the versions that answer want to see.
        schema: The schema of the project's table.
        area: Scratch space.

    Returns:
        The rows; `None` where none came.

    Raises:
        LoadFailed: If the rows cannot be read.
        ContractViolation: If a needed column is missing or of another type, or the rows as a whole break the contract;
            nothing goes to the quarantine then.
    """
    raw, found = stage(definition, choose_load(definition, sought, schema), sought.window, area)
    if not raw.rows:
        return None
    there = _shared_columns(definition, schema, found, {definition.timestamp, *definition.key, *features})
    sieve = RowFilter(definition, there, sought.window, area)
    sieve.fit(raw)
    sieve.judge(_read_contract(definition, schema, there))
    known = count_known(definition, sieve.rejected, schema)
    counted = sieve.count(sought.window.end, known)
    if sought.kind != "load" and counted.newest:  # a file has no end that its rows could be fresh for
        counted = replace(counted, until=counted.newest)
    contract = _read_contract(definition, schema, there)
    warnings = judge_batch(definition, contract, sieve.accepted, counted)
    rejected = sieve.rejected if sought.kind == "load" else _mark_not_loaded(sieve.rejected, sought, area)
    keep_rejected(definition, rejected, sought.as_of, schema)
    return AcceptedRows(sieve, warnings)


def _shared_columns(
    definition: Project, schema: pa.Schema, found: list[pa.Schema], needed: Collection[str]
) -> pa.Schema:
    """Gives the columns of the table that every piece has; the target is not looked at, and others do no harm.

    Raises:
        ContractViolation: If a needed one is missing, or one is of another type.
    """
    named = set.intersection(*(set(piece.names) for piece in found)) | set(needed)
    there = pa.schema([field for field in schema if field.name in named and field.name != definition.target])
    problems = [problem for piece in found for problem in find_invalid_names(piece)]
    for piece in found:
        faults = compare_schemas(there, piece, definition)
        problems += [fault.sentence for fault in faults if fault.kind != "added"]
    if problems:
        raise ContractViolation(
            f"these rows cannot be scored by {definition.name!r}: {'; '.join(dict.fromkeys(problems))}"
        )
    return there


def _read_contract(definition: Project, schema: pa.Schema, there: pa.Schema) -> Contract:
    table = open_table(definition.name)
    contract = contract_of(definition, schema, lambda: read(table) if table else iter(()))
    return contract.restrict_to(there.names, set(schema.names) - set(there.names))


def _mark_not_loaded(rejected: SpilledTables, sought: ScoreRequest, area: Path) -> SpilledTables:
    """Adds to the reasons where the rows came from: a replay must not let them into the project's table."""
    marked, mark = SpilledTables(area / "not-loaded"), {"rule": NOT_LOADED, "column": "", "value": sought.source}
    for piece in rejected:
        reasons = [json.dumps([*json.loads(text), mark], ensure_ascii=False) for text in piece[REASONS].to_pylist()]
        marked.add(piece.set_column(piece.column_names.index(REASONS), REASONS, pa.array(reasons)))
    return marked


PARQUET, CSV = (".parquet", ".pq"), ".csv"


def select_rows(
    definition: Project,
    champion: Champion,
    until: datetime,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    source: str | None = None,
) -> ScoreRequest:
    """Says which rows are to be scored.

    Args:
        definition: The project.
        champion: The version that serves.
        until: The instant that the run looks from, UTC.
        start: The first event time wanted. If left out, what is new since the last scored one, and what may have come
            late before that; the first time, what the champion was not trained on.
        end: Just after the last event time wanted; all until `until`, if left out.
        source: A CSV or Parquet file in place of the project's load, or a Delta table's directory or URI.

    Returns:
        The source and the window.

    Raises:
        ProjectError: If a window of a file or a table is asked for.
        UnusableTime: If the window is empty, or a time has not come.
    """
    if source:
        if start or end:
            raise ProjectError(
                "a window is of the project's own rows, and a file or table is scored whole: leave it out"
            )
        return ScoreRequest("file" if _is_file(source) else "table", source, EVERYTHING, until)
    last = min(until, require_past(end, until)) if end else until
    first = require_past(start, until) if start else min(_default_start(definition, champion), last)
    if start and first >= last:
        raise UnusableTime(f"the window from {first.isoformat()} until {last.isoformat()} is empty: end it later")
    return ScoreRequest("load", "", Window(first, last), until)


def choose_load(definition: Project, sought: ScoreRequest, schema: pa.Schema) -> Callable[[Window], Rows]:
    """Gives what reads the rows.

    Args:
        definition: The project.
        sought: Where they lie.
        schema: The schema of the project's table: what it has as text stays text, whatever a CSV file looks like.

    Returns:
        A load.

    Raises:
        LoadFailed: If there is no such file.
    """
    if sought.kind == "load":
        return definition.load
    if sought.kind == "table":
        return sources.delta(sought.place, definition.timestamp, piece_rows=definition.ingestion.piece_rows)
    file, rows = Path(sought.place), definition.ingestion.piece_rows
    if not file.is_file():
        raise LoadFailed(f"there is no file {file}: correct the path")
    if file.suffix.lower() in PARQUET:
        return sources.parquet(escape(str(file)), definition.timestamp, piece_rows=rows)
    texts = {field.name: "str" for field in schema if pa.types.is_string(field.type)}
    return sources.csv(escape(str(file)), definition.timestamp, piece_rows=rows, dtypes=texts)


def scored_end(sought: ScoreRequest, definition: Project, newest: datetime) -> datetime | None:
    """Says how far the project's own rows are scored once a batch is written.

    Args:
        sought: The batch.
        definition: The project.
        newest: Just after its newest event time.

    Returns:
        That; `None` for other rows, and where some before the batch may never have been scored.
    """
    if sought.kind != "load":
        return None
    before = scored_until(definition.name)
    return newest if before is None or sought.window.start <= before else None


def _is_file(source: str) -> bool:
    """Tells a file from a Delta table, which is a directory; a file that is not there by its name."""
    path = Path(source)
    return path.is_file() or (path.suffix.lower() in (*PARQUET, CSV) and not path.is_dir())


def _default_start(definition: Project, champion: Champion) -> datetime:
    before = scored_until(definition.name)
    return before - definition.ingestion.lateness if before else champion.model.trained_on.window.end
