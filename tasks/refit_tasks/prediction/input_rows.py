"""The input rows of batch scoring: their source and window, and validation by the data contract without the target."""

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
from refit.loads.csv_files import CsvReading
from refit.loads.csv_format import COMMAND_OPTIONS, CsvFormat
from refit.project import Project, Rows
from refit.records.references import Champion
from refit.results.score import EVERYTHING, ScoreRequest
from refit.windows import Window, require_past
from refit_tasks.ingestion.load import stage_load
from refit_tasks.ingestion.quarantine import count_already_quarantined, quarantine_rows
from refit_tasks.ingestion.row_filter import REASONS, RowFilter
from refit_tasks.storage.delta import open_table, read, require_table, schema_of
from refit_tasks.storage.predictions_table import scored_until
from refit_tasks.storage.staging import SpilledTables
from refit_tasks.validation.contract import find_contract, judge_batch


@dataclass(frozen=True, slots=True)
class AcceptedRows:
    """The accepted rows of a batch, sorted, with the warnings of their validation."""

    sieve: RowFilter
    warnings: tuple[str, ...]

    @property
    def rows_in(self) -> int:
        """How many rows were loaded, accepted or not."""
        return self.sieve.accepted_rows + self.sieve.rejected.rows


def table_schema(definition: Project) -> pa.Schema:
    """Gives the schema of a project's table, which input rows have to match.

    Args:
        definition: The project.

    Returns:
        The schema.

    Raises:
        NotEnoughData: If the project has no table yet.
    """
    return schema_of(require_table(definition.name))


def load_and_validate(
    definition: Project, request: ScoreRequest, features: Collection[str], schema: pa.Schema, area: Path
) -> AcceptedRows | None:
    """Loads and validates the rows of a batch; rows that break the contract are quarantined.

    Args:
        definition: The project.
        request: The source and window of the rows.
        features: The features of the versions that predict.
        schema: The schema of the project's table.
        area: Scratch space.

    Returns:
        The accepted rows; `None` if the source has no rows.

    Raises:
        LoadFailed: If the rows cannot be read.
        ContractViolation: If a required column is missing or has another type, or the batch as a whole breaks the
            contract. Nothing is quarantined then.
    """
    raw, found = stage_load(definition, choose_load(definition, request, schema), request.window, area)
    if not raw.rows:
        return None
    there = _shared_columns(definition, schema, found, {definition.timestamp, *definition.key, *features})
    sieve = RowFilter(definition, there, request.window, area)
    sieve.cast(raw)
    sieve.validate(_read_contract(definition, schema, there))
    known = count_already_quarantined(definition, sieve.rejected, schema)
    counted = sieve.count(request.window.end, known)
    if request.kind != "load" and counted.newest:  # a file has no end to measure freshness from
        counted = replace(counted, until=counted.newest)
    contract = _read_contract(definition, schema, there)
    warnings = judge_batch(definition, contract, sieve.accepted, counted)
    rejected = sieve.rejected if request.kind == "load" else _mark_not_loaded(sieve.rejected, request, area)
    quarantine_rows(definition, rejected, request.as_of, schema)
    return AcceptedRows(sieve, warnings)


def _shared_columns(
    definition: Project, schema: pa.Schema, found: list[pa.Schema], needed: Collection[str]
) -> pa.Schema:
    """Gives the columns of the table that every piece has, without the target; additional columns are ignored.

    Raises:
        ContractViolation: If a required column is missing, or a column has another type.
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
    contract = find_contract(definition, schema, lambda: read(table) if table else iter(()))
    return contract.restrict_to(there.names, set(schema.names) - set(there.names))


def _mark_not_loaded(rejected: SpilledTables, request: ScoreRequest, area: Path) -> SpilledTables:
    """Adds the source to the reasons: a replay must not insert rows into the table that the project did not load."""
    marked, mark = SpilledTables(area / "not-loaded"), {"rule": NOT_LOADED, "column": "", "value": request.source}
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
    form: CsvFormat | None = None,
) -> ScoreRequest:
    """Chooses the rows to score.

    Args:
        definition: The project.
        champion: The version that serves.
        until: The time of the run, UTC.
        start: The first event time. By default the end of the last scored batch, less the project's lateness; for the
            first batch, the end of the champion's training window.
        end: The end of the event times, exclusive; by default `until`.
        source: A CSV or Parquet file, or the directory or URI of a Delta table, in place of the project's load.
        form: The form of a CSV file.

    Returns:
        The source and the window.

    Raises:
        ProjectError: If a window is given for a file or a table.
        UnusableTime: If the window is empty, or a time lies in the future.
    """
    if source:
        if start or end:
            raise ProjectError("a file or table is scored as a whole: leave the window out")
        return ScoreRequest("file" if _is_file(source) else "table", source, EVERYTHING, until, form)
    last = min(until, require_past(end, until)) if end else until
    first = require_past(start, until) if start else min(_default_start(definition, champion), last)
    if start and first >= last:
        raise UnusableTime(f"the window from {first.isoformat()} until {last.isoformat()} is empty: end it later")
    return ScoreRequest("load", "", Window(first, last), until)


def choose_load(definition: Project, request: ScoreRequest, schema: pa.Schema) -> Callable[[Window], Rows]:
    """Chooses the load function for a source.

    Args:
        definition: The project.
        request: The source.
        schema: The schema of the project's table; its string columns are read as strings from a CSV file.

    Returns:
        A load function.

    Raises:
        LoadFailed: If the file does not exist.
    """
    if request.kind == "load":
        return definition.load
    if request.kind == "table":
        return sources.delta(request.place, definition.timestamp, piece_rows=definition.ingestion.piece_rows)
    file, rows = Path(request.place), definition.ingestion.piece_rows
    if not file.is_file():
        raise LoadFailed(f"the file {file} does not exist: correct the path")
    if file.suffix.lower() in PARQUET:
        return sources.parquet(escape(str(file)), definition.timestamp, piece_rows=rows)
    texts = {field.name: "str" for field in schema if pa.types.is_string(field.type)}
    form = request.form or CsvFormat()
    settings = {**form.model_dump(exclude={"missing"}), "na_values": list(form.missing), "low_memory": False}
    reading = CsvReading(definition.timestamp, settings, texts, rows, COMMAND_OPTIONS)
    return sources.load_csv(escape(str(file)), reading)


def scored_end(request: ScoreRequest, definition: Project, newest: datetime) -> datetime | None:
    """Gives the event time up to which the project's own rows are scored once a batch is written.

    Args:
        request: The source and window of the batch.
        definition: The project.
        newest: The end of its event times, exclusive.

    Returns:
        That time; `None` for a file or table, and if earlier rows may not have been scored.
    """
    if request.kind != "load":
        return None
    before = scored_until(definition.name)
    return newest if before is None or request.window.start <= before else None


def _is_file(source: str) -> bool:
    """Tells a file from a Delta table, which is a directory; a file that does not exist is told by its suffix."""
    path = Path(source)
    return path.is_file() or (path.suffix.lower() in (*PARQUET, CSV) and not path.is_dir())


def _default_start(definition: Project, champion: Champion) -> datetime:
    before = scored_until(definition.name)
    return before - definition.ingestion.lateness if before else champion.model.trained_on.window.end
