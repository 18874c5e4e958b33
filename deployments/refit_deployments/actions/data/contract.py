"""`refit contract`: the data contract in force, and the acceptance of values beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from refit.data.contract import Contract
from refit.errors import NotEnoughData
from refit.project import Project
from refit_deployments.output import Result
from refit_tasks.catalog import find_project
from refit_tasks.ledger.record import latest
from refit_tasks.runs.identity import current_user
from refit_tasks.storage.delta import require_table, schema_of
from refit_tasks.validation.acceptance import accept_values, read_acceptances
from refit_tasks.validation.contract import find_contract, read_contract


def show_contract(project: str) -> Result:
    """Shows the data contract in force.

    Args:
        project: The project's name.

    Returns:
        Its rules, and what was accepted beyond the derived ones.

    Raises:
        NotEnoughData: If there is no contract yet.
    """
    definition = find_project(project)
    contract, accepted = _find_contract(definition), read_acceptances(project)
    acceptance = latest(project, "acceptance") if contract.origin != "project" else None
    facts = {
        "project": project,
        "origin": contract.origin,
        "rules": contract.to_json()["rules"],
        "accepted": {column: asdict(one) for column, one in accepted.items()} if acceptance else {},
        "acceptance": acceptance.id if acceptance else None,
    }
    source = "the project file" if contract.origin == "project" else "derived from reference rows"
    lines = [f"{project}: {len(contract.rules)} rules, {source}"]
    lines += [f"  {rule.severity:<8}  {rule}" for rule in contract.rules]
    if acceptance:
        lines.append(f"  accepted beyond the derived rules: {', '.join(accepted)} (refit why {acceptance.id})")
    return Result(facts, lines)


def _find_contract(definition: Project) -> Contract:
    if definition.expectations is not None:
        return find_contract(definition, schema_of(require_table(definition.name)), lambda: iter(()))
    contract = read_contract(definition.name)
    if contract is None:
        raise NotEnoughData(
            f"{definition.name} has no contract yet: the first `refit retrain {definition.name}` derives it"
        )
    return contract


def accept_into_contract(
    project: str,
    column: str,
    values: Sequence[str],
    bounds: tuple[float | None, float | None],
    why: str,
) -> Result:
    """Accepts further values of a column, or a wider range.

    Args:
        project: The project's name.
        column: The column.
        values: Classes or categories.
        bounds: The smallest and the largest number to accept.
        why: The reason, for the ledger.

    Returns:
        The entry; `null` if the contract accepts all that already.
    """
    person = current_user()
    entry = accept_values(find_project(project), column, values, bounds, (person, why), datetime.now(UTC))
    low, high = bounds
    facts = {
        "project": project,
        "column": column,
        "values": list(values),
        "low": low,
        "high": high,
        "who": person,
        "why": why,
        "entry": entry.id if entry else None,
    }
    if entry is None:
        return Result(facts, [f"{project}: the contract accepts that of {column} already"])
    return Result(
        facts,
        [
            f"{project}: accepted for {column} by {person} (refit why {entry.id})",
            f"  rows in quarantine: refit quarantine {project} replay",
        ],
    )
