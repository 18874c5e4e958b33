"""The judgement of a check's rows by the data contract, as ingestion judges them."""

from __future__ import annotations

import json
from dataclasses import replace

from refit.data.contract import Contract
from refit.data.derived_contract import derive_contract
from refit.data.rejected_rows import mask_value
from refit.errors import ContractViolation
from refit.project import Project
from refit.windows import Window
from refit_tasks.ingestion.batch import validate_batch
from refit_tasks.ingestion.row_filter import REASONS, RowFilter
from refit_tasks.validation.contract import find_contract
from refit_tasks.validation.great_expectations import is_row_rule

_EXAMPLES = 3
"""The number of rejected values that are shown."""


def judge_sample(definition: Project, row_filter: RowFilter, window: Window, *, ingested: bool, whole: bool) -> str:
    """Judges rows by the contract that the next ingest would judge them by.

    Args:
        definition: The project.
        row_filter: The rows, cast to the schema.
        window: The event times of the load.
        ingested: Whether the project has a table, and so may have a recorded contract.
        whole: Whether these are all rows; of a part, only the rules about single rows are judged.

    Returns:
        What was found, in a sentence.

    Raises:
        ContractViolation: If an ingest would refuse these rows.
        BrokenProject: If the project's expectations fail or name columns that the rows do not have.
    """
    contract = _find_contract(definition, row_filter, ingested=ingested)
    judged = contract if whole else _restrict_to_rows(contract)
    policy = definition if whole else _without_least_rows(definition)
    try:
        warnings = validate_batch(policy, judged, row_filter, window)
    except ContractViolation as refusal:
        raise ContractViolation(f"{refusal}{_describe_examples(definition, row_filter)}") from refusal
    left_out = row_filter.rejected.rows - row_filter.superseded
    skipped = ", ".join(str(rule) for rule in contract.rules if rule not in judged.rules)
    parts = [
        f"{_name_origin(contract)} has {len(contract.rules)} rules",
        f"{row_filter.accepted_rows:,} rows are accepted",
        *([f"{left_out:,} would be quarantined{_describe_examples(definition, row_filter)}"] if left_out else []),
        *([f"{row_filter.superseded:,} have the key of a later row"] if row_filter.superseded else []),
        *([f"rules about whole batches are not judged on a part ({skipped})"] if skipped else []),
        *(f"warning: {warning}" for warning in warnings),
    ]
    return ", ".join(parts)


def _find_contract(definition: Project, row_filter: RowFilter, *, ingested: bool) -> Contract:
    """Finds the contract; without a table there is no recorded one, and the ledger need not be created to see that."""
    if ingested or definition.expectations is not None:
        return find_contract(definition, row_filter.schema, lambda: iter(row_filter.cast_rows))
    return replace(derive_contract(definition, row_filter.cast_rows), pii=definition.pii)


def _name_origin(contract: Contract) -> str:
    names = {"project": "expectations()", "recorded": "the recorded contract", "derived": "the contract of these rows"}
    return names[contract.origin]


def _restrict_to_rows(contract: Contract) -> Contract:
    return replace(contract, rules=tuple(rule for rule in contract.rules if is_row_rule(rule)))


def _without_least_rows(definition: Project) -> Project:
    return definition.model_copy(update={"contract": definition.contract.model_copy(update={"min_rows": 0})})


def _describe_examples(definition: Project, row_filter: RowFilter) -> str:
    """Shows the first rejected values as they were loaded, one for each rule and column."""
    shown: dict[tuple[str, str], str] = {}
    for piece in row_filter.rejected:
        for reasons in piece[REASONS].to_pylist():
            for reason in json.loads(reasons):
                value = mask_value(definition.pii, reason["column"], reason["value"])
                shown.setdefault((reason["rule"], reason["column"]), value)
    found = [f"{rule} on {column!r}: {value[:60]!r}" for (rule, column), value in list(shown.items())[:_EXAMPLES]]
    return f" ({'; '.join(found)})" if found else ""
