"""The judgement of one batch before anything is written: its schema, its rows, and the batch as a whole."""

from __future__ import annotations

import pyarrow as pa

from refit.data.contract import Contract
from refit.data.schema import compare_schemas, find_invalid_names, unify_schemas
from refit.errors import ContractViolation
from refit.project import Project
from refit.windows import Window
from refit_tasks.ingestion.quarantine import count_already_quarantined
from refit_tasks.ingestion.row_filter import RowFilter
from refit_tasks.validation.contract import judge_batch


def resolve_schema(definition: Project, expected: pa.Schema | None, schemas: list[pa.Schema]) -> pa.Schema:
    """Resolves the schema of a batch: the table's, extended by new columns where the contract policy allows it.

    Args:
        definition: The project.
        expected: The table's schema; `None` before the first ingest.
        schemas: The distinct schemas of the batch's pieces.

    Returns:
        The schema that the rows are cast to.

    Raises:
        ContractViolation: If the batch's columns do not match the table's.
    """
    if problems := dict.fromkeys(problem for schema in schemas for problem in find_invalid_names(schema)):
        raise ContractViolation("; ".join(problems))
    if expected is None:
        return unify_schemas(schemas, definition)
    policy = definition.contract.added_columns
    found = [difference for schema in schemas for difference in compare_schemas(expected, schema, definition)]
    refused = dict.fromkeys(d.sentence for d in found if d.kind != "added" or policy == "refuse")
    if refused:
        raise ContractViolation(f"the columns of {definition.name!r} have changed: {'; '.join(refused)}")
    added = {d.column for d in found} if policy == "add" else set()
    widened = unify_schemas(schemas, definition) if added else expected
    schema = pa.schema([*expected, *(field for field in widened if field.name in added)])
    if unknown := [name for name in definition.pii if name not in schema.names]:
        raise ContractViolation(
            f"the table of {definition.name!r} has no column {unknown[0]!r}: correct the name in pii"
        )
    return schema


def validate_batch(definition: Project, contract: Contract, row_filter: RowFilter, window: Window) -> tuple[str, ...]:
    """Rejects the rows that break the contract, and judges the batch as a whole.

    Args:
        definition: The project.
        contract: The data contract.
        row_filter: The rows, cast to the schema.
        window: The event times of the load.

    Returns:
        One sentence for each broken rule that is not critical.

    Raises:
        ContractViolation: If the batch as a whole breaks the contract.
    """
    row_filter.validate(contract)
    known = count_already_quarantined(definition, row_filter.rejected, row_filter.schema)
    counts = row_filter.count(window.end, known)
    return judge_batch(definition, contract, row_filter.accepted, counts, row_filter.rejected_values)
