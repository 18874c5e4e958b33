"""`refit schema`: the types of the columns of a project's table, shown or changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from refit.data.type_names import TypeName, name_type
from refit_deployments.output import Result
from refit_tasks.catalog import find_project, read_declaration
from refit_tasks.ingestion.column_types import set_column_type
from refit_tasks.runs.identity import current_user
from refit_tasks.storage.delta import require_table, schema_of


def show_schema(project: str) -> Result:
    """Shows the columns of a project's table.

    Args:
        project: The project's name.

    Returns:
        Their types, by the names that `refit schema PROJECT set` takes.
    """
    find_project(project, read_declaration)
    table = require_table(project)
    types = {field.name: name_type(field.type) for field in schema_of(table)}
    facts = {"project": project, "version": table.version(), "columns": types}
    lines = [f"  {name:<24}  {kind}" for name, kind in types.items()]
    return Result(facts, [f"{project}: {len(types)} columns at table version {table.version()}", *lines])


def set_type(project: str, column: str, kind: TypeName, why: str) -> Result:
    """Changes the type of a column.

    Args:
        project: The project's name.
        column: The column.
        kind: The new type.
        why: The reason, for the ledger.

    Returns:
        The change; its entry is `null` if the column has that type.
    """
    by = (current_user(), why)
    entry = set_column_type(find_project(project), column, kind, by, datetime.now(UTC))
    facts: dict[str, Any] = {
        "project": project,
        "column": column,
        "former": entry.payload["former"] if entry else kind,
        "type": kind,
        "version": require_table(project).version(),
        "entry": entry.id if entry else None,
    }
    if entry is None:
        return Result(facts, [f"{project}: column {column} is a {kind} already"])
    lines = [f"{project}: column {column} was a {facts['former']} and is a {kind} now (refit why {entry.id})"]
    return Result(facts, lines)
