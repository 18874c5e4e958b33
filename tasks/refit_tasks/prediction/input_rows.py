"""What a batch may be scored on: rows that keep the data contract, but for what it says of the target."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from refit.data.contract import Contract
from refit.data.rejected_rows import NOT_LOADED
from refit.data.schema import differences, unfit_names
from refit.errors import ContractViolation, NotEnoughData
from refit.project import Project
from refit.results.score import Sought
from refit_tasks.ingestion.load import stage
from refit_tasks.ingestion.quarantine import count_known, keep_rejected
from refit_tasks.ingestion.row_filter import REASONS, Sieve
from refit_tasks.prediction.sought import load_of
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.staging import Pieces
from refit_tasks.validation.contract import contract_of, judge_batch


@dataclass(frozen=True, slots=True)
class Admitted:
    """The rows of a batch, sorted."""

    sieve: Sieve
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
    table = open_table(definition.name)
    if table is None:
        raise NotEnoughData(f"{definition.name} has no table yet: run `refit retrain {definition.name}`")
    return schema_of(table)


def admit(
    definition: Project, sought: Sought, features: Collection[str], schema: pa.Schema, area: Path
) -> Admitted | None:
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
    raw, found = stage(definition, load_of(definition, sought, schema), sought.window, area)
    if not raw.rows:
        return None
    there = _there(definition, schema, found, {definition.timestamp, *definition.key, *features})
    sieve = Sieve(definition, there, sought.window, area)
    sieve.fit(raw)
    sieve.judge(_contract(definition, schema, there))
    known = count_known(definition, sieve.rejected, schema)
    counted = sieve.count(sought.window.end, known)
    if sought.kind != "load" and counted.newest:  # a file has no end that its rows could be fresh for
        counted = replace(counted, until=counted.newest)
    contract = _contract(definition, schema, there)
    warnings = judge_batch(definition, contract, sieve.accepted, counted)
    rejected = sieve.rejected if sought.kind == "load" else _never_replayed(sieve.rejected, sought, area)
    keep_rejected(definition, rejected, sought.as_of, schema)
    return Admitted(sieve, warnings)


def _there(definition: Project, schema: pa.Schema, found: list[pa.Schema], needed: Collection[str]) -> pa.Schema:
    """Gives the columns of the table that every piece has; the target is not looked at, and others do no harm.

    Raises:
        ContractViolation: If a needed one is missing, or one is of another type.
    """
    named = set.intersection(*(set(piece.names) for piece in found)) | set(needed)
    there = pa.schema([field for field in schema if field.name in named and field.name != definition.target])
    problems = [problem for piece in found for problem in unfit_names(piece)]
    for piece in found:
        faults = differences(there, piece, definition)
        problems += [fault.sentence for fault in faults if fault.kind != "added"]
    if problems:
        raise ContractViolation(
            f"these rows cannot be scored by {definition.name!r}: {'; '.join(dict.fromkeys(problems))}"
        )
    return there


def _contract(definition: Project, schema: pa.Schema, there: pa.Schema) -> Contract:
    table = open_table(definition.name)
    contract = contract_of(definition, schema, lambda: read(table) if table else iter(()))
    return contract.about(there.names, set(schema.names) - set(there.names))


def _never_replayed(rejected: Pieces, sought: Sought, area: Path) -> Pieces:
    """Adds to the reasons where the rows came from: a replay must not let them into the project's table."""
    marked, mark = Pieces(area / "not-loaded"), {"rule": NOT_LOADED, "column": "", "value": sought.source}
    for piece in rejected:
        reasons = [json.dumps([*json.loads(text), mark], ensure_ascii=False) for text in piece[REASONS].to_pylist()]
        marked.add(piece.set_column(piece.column_names.index(REASONS), REASONS, pa.array(reasons)))
    return marked
