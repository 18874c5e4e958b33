"""Acceptance of values beyond a derived contract: recorded in the ledger, with who accepted them and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from refit.data.acceptance import BETWEEN, IN_SET, Acceptance, Value, widen_contract
from refit.data.casting import cast_table
from refit.data.contract import Contract
from refit.errors import ContractViolation, NotEnoughData, ProjectError
from refit.project import Project
from refit.records.ledger import Entry, as_payload, from_payload
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.record import latest
from refit_tasks.ledger.transactions import append, newest_entry
from refit_tasks.storage.delta import require_table, schema_of


@dataclass(frozen=True, slots=True)
class AcceptanceRecord:
    """The payload of a ledger entry of the kind `acceptance`."""

    column: str
    added: Acceptance
    """What was accepted of the column."""
    who: str
    why: str
    accepted: dict[str, Acceptance]
    """All that is accepted since, by column, so that the newest entry is enough."""


def read_acceptances(project: str) -> dict[str, Acceptance]:
    """Reads what people accepted beyond a project's derived contract.

    Args:
        project: The project's name.

    Returns:
        The acceptance of each column; empty if there is none.
    """
    return _accepted_of(latest(project, "acceptance"))


def _accepted_of(entry: Entry | None) -> dict[str, Acceptance]:
    return from_payload(AcceptanceRecord, entry.payload).accepted if entry else {}


def accept_values(
    definition: Project,
    column: str,
    texts: Sequence[str],
    bounds: tuple[float | None, float | None],
    by: tuple[str, str],
    at: datetime,
) -> Entry | None:
    """Accepts further values of a column, or a wider range.

    Args:
        definition: The project, whose contract must be derived.
        column: The column.
        texts: Classes or categories, as they are written on a command line.
        bounds: The smallest and the largest number to accept.
        by: Who accepts them, and why.
        at: The time of the entry, UTC.

    Returns:
        The entry; `None` if the contract accepts all that already.

    Raises:
        ProjectError: If the project has expectations of its own, or nothing is given.
        NotEnoughData: If there is no contract yet.
        ContractViolation: If the column has no rule that could be widened, or a value is not of its type.
    """
    _require_derived(definition)
    added = Acceptance(_parse_values(definition, column, texts), *bounds)
    if added == Acceptance():
        raise ProjectError("nothing is given to accept: name classes or categories, or a range with --min and --max")
    with writing() as connection:
        accepted = _accepted_of(newest_entry(connection, definition.name, "acceptance"))
        recorded = newest_entry(connection, definition.name, "contract")
        if recorded is None:
            raise NotEnoughData(f"{definition.name} has no contract yet: the first `refit retrain` derives it")
        contract = widen_contract(Contract.from_json(recorded.payload), accepted)
        _require_rule(contract, column, added)
        if widen_contract(contract, {column: added}) == contract:
            return None
        accepted[column] = accepted.get(column, Acceptance()).merge(added)
        made = AcceptanceRecord(column, added, *by, accepted)
        return append(connection, definition.name, "acceptance", as_payload(made), at)


def _require_derived(definition: Project) -> None:
    if definition.expectations is not None:
        raise ProjectError(
            f"the contract of {definition.name} is the expectations in {definition.file or 'its project file'}: "
            f"change them there"
        )


def _parse_values(definition: Project, column: str, texts: Sequence[str]) -> tuple[Value, ...]:
    schema = schema_of(require_table(definition.name))
    if column not in schema.names:
        raise ContractViolation(
            f"the table of {definition.name} has no column {column!r}: its columns are {', '.join(schema.names)}"
        )
    kind = schema.field(column).type
    cells, faults = cast_table(pa.table({column: pa.array(texts, pa.string())}), pa.schema([(column, kind)]))
    if faults:
        raise ContractViolation(
            f"{faults[0].value!r} is no value of column {column!r}, whose type is {kind}: correct it"
        )
    return tuple(cells[column].to_pylist())


def _require_rule(contract: Contract, column: str, added: Acceptance) -> None:
    wanted = {IN_SET: bool(added.values), BETWEEN: (added.low, added.high) != (None, None)}
    kinds = {rule.type for rule in contract.rules if column in rule.columns}
    if not all(math.isfinite(bound) for bound in (added.low, added.high) if bound is not None):
        raise ContractViolation("a range ends at a number: give --min and --max finite ones")
    for kind, asked in wanted.items():
        if asked and kind not in kinds:
            what = "set of values" if kind == IN_SET else "range of numbers"
            raise ContractViolation(
                f"the contract has no rule about a {what} of column {column!r}: its rules about it are "
                f"{', '.join(sorted(kinds)) or 'none'}"
            )
