"""The commands about a project's rows: `refit ingest` takes them in, `refit contract` says which are accepted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from refit_deployments.cli.options import AsOf, Debug, Json, ProjectName, Reason, Since
from refit_deployments.output import command_output


def ingest(
    project: ProjectName, since: Since = None, as_of: AsOf = None, json: Json = False, debug: Debug = False
) -> None:
    """Take in new rows, and with --since older ones that came late.

    Looks back as a retrain does. With --since, rows from that event time on are loaded again.
    """
    with command_output(json, debug, f"ingest {project}: loading") as output:
        from refit_deployments.actions.data.ingest import run_ingest
        from refit_tasks.runs.audit_log import audited

        with audited("ingest", project):
            result = run_ingest(project, since, as_of)
        output.show_result(result)


class SchemaAction(StrEnum):
    """What to do with the columns of the table."""

    show = "show"
    set = "set"


class ColumnType(StrEnum):
    """The types of a column, by the same names as in `refit.data.type_names`."""

    number = "number"
    integer = "integer"
    text = "text"
    boolean = "boolean"
    time = "time"
    local_time = "local-time"


def schema(
    project: ProjectName,
    action: Annotated[SchemaAction, typer.Argument(help="Show the columns, or set the type of one.")],
    column: Annotated[str | None, typer.Argument(metavar="[COLUMN]", help="The column to change.")] = None,
    kind: Annotated[ColumnType | None, typer.Argument(metavar="[TYPE]", help="Its new type.")] = None,
    reason: Reason = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the columns of a project's table, or set a type.

    The types are number, integer, text, boolean, time and local-time. A change that would lose a value is refused;
    the ledger records it.
    """
    if (action is SchemaAction.set) != (kind is not None) or (action is SchemaAction.show and column is not None):
        raise typer.BadParameter("`set` needs a column and its type, `show` neither", param_hint="COLUMN TYPE")
    with command_output(json, debug, f"schema {action.value} {project}") as output:
        from refit_deployments.actions.data.schema import set_type, show_schema
        from refit_tasks.runs.audit_log import audited

        if column is None or kind is None:
            output.show_result(show_schema(project))
            return
        with audited("schema set", project, recorded=True):
            result = set_type(project, column, kind.value, reason)
        output.show_result(result)


class ContractAction(StrEnum):
    """What to do with the data contract."""

    show = "show"
    accept = "accept"


def contract(
    project: ProjectName,
    action: Annotated[ContractAction, typer.Argument(help="Show the rules, or accept values beyond them.")],
    column: Annotated[str | None, typer.Argument(metavar="[COLUMN]", help="The column to accept values of.")] = None,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[VALUE]...", help="The classes or categories to accept.")
    ] = None,
    low: Annotated[float | None, typer.Option("--min", help="The smallest number to accept.")] = None,
    high: Annotated[float | None, typer.Option("--max", help="The largest number to accept.")] = None,
    reason: Reason = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the data contract, or accept new values into it.

    A new class, a new category or a wider range is recorded in the ledger. Expectations in the project file are
    changed there.
    """
    accepts = action is ContractAction.accept
    if accepts and column is None:
        raise typer.BadParameter("name the column, then its new values or --min and --max", param_hint="COLUMN")
    if not accepts and (column is not None or low is not None or high is not None):
        raise typer.BadParameter("`show` shows the whole contract: leave it out", param_hint="COLUMN")
    with command_output(json, debug, f"contract {action.value} {project}", prefect=False) as output:
        from refit_deployments.actions.data.contract import accept_into_contract, show_contract
        from refit_tasks.runs.audit_log import audited

        if column is None:
            output.show_result(show_contract(project))
            return
        with audited("contract accept", project, recorded=True):
            result = accept_into_contract(project, column, values or [], (low, high), reason)
        output.show_result(result)
