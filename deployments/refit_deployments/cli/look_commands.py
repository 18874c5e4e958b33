"""The commands that read the record: `refit status`, `why`, `report`, `champion`, `card`, `quarantine`, `log` and more.

Only the imports that a command needs are made; most of them import no engine.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.completion import complete_project
from refit_deployments.cli.options import AnyProject, At, Debug, From, Json, ProjectName, Since, To
from refit_deployments.output import command_output


def status(project: AnyProject = None, json: Json = False, debug: Debug = False) -> None:
    """Show the champion, last decision and budget of each project."""
    with command_output(json, debug, "status: reading the ledger", prefect=False) as output:
        from refit_deployments.actions.status import show_status

        output.show_result(show_status(project))


def why(
    identifier: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="The number of a ledger entry.")
    ],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Explain one ledger entry in sentences."""
    with command_output(json, debug, f"why {identifier}: reading the ledger", prefect=False) as output:
        from refit_deployments.actions.why import explain_entry

        output.show_result(explain_entry(identifier))


def report(
    project: ProjectName,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write; by default PROJECT.html.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write an HTML page with drift, performance and decisions."""
    with command_output(json, debug, f"report {project}: reading the ledger", prefect=False) as output:
        from refit_deployments.actions.report import write_report

        output.show_result(write_report(project, out))


def champion(project: ProjectName, at: At = None, json: Json = False, debug: Debug = False) -> None:
    """Show the version that serves, or served at a given time."""
    with command_output(json, debug) as output:
        from refit_deployments.actions.champion import show_champion

        output.show_result(show_champion(project, at))


AnyVersion = Annotated[
    int | None, typer.Argument(metavar="[VERSION]", min=1, help="A registered version; by default the champion.")
]


def card(project: ProjectName, version: AnyVersion = None, json: Json = False, debug: Debug = False) -> None:
    """Show the model card of a version.

    Data, scores, slices, verdict, lineage and limits, from the ledger.
    """
    with command_output(json, debug, f"card {project}: reading the ledger", prefect=False) as output:
        from refit_deployments.actions.report import show_card

        output.show_result(show_card(project, version))


def compare(project: ProjectName, start: From = None, end: To = None, json: Json = False, debug: Debug = False) -> None:
    """Compare a shadow or canary challenger with the champion.

    Both are scored on their labelled production predictions.
    """
    with command_output(json, debug, f"compare {project}: reading the predictions") as output:
        from refit_deployments.actions.predictions import compare_versions

        output.show_result(compare_versions(project, start, end))


class QuarantineAction(StrEnum):
    """What to do with quarantined rows."""

    list = "list"
    replay = "replay"


def quarantine(
    project: ProjectName,
    action: Annotated[QuarantineAction, typer.Argument(help="List the rows, or readmit those that pass now.")],
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The maximum number of rows listed.")] = 20,
    show_pii: Annotated[bool, typer.Option("--show-pii", help="Show the values of `pii` columns.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List quarantined rows, or readmit those that pass now."""
    replays = action is QuarantineAction.replay
    with command_output(json, debug, f"quarantine {action.value} {project}", prefect=replays) as output:
        from refit_deployments.actions.data.quarantine import list_quarantine, replay_quarantine
        from refit_tasks.runs.audit_log import audited

        if not replays and not show_pii:
            output.show_result(list_quarantine(project, limit))
            return
        with audited("quarantine replay" if replays else "quarantine list --show-pii", project):
            result = replay_quarantine(project) if replays else list_quarantine(project, limit, show_pii=show_pii)
        output.show_result(result)


def log(project: AnyProject = None, since: Since = None, json: Json = False, debug: Debug = False) -> None:
    """Show which user ran which command, and when.

    From the ledger, and from the access log of this REFIT_HOME.
    """
    with command_output(json, debug) as output:
        from refit_deployments.actions.ledger import show_audit_log

        output.show_result(show_audit_log(project, since))


class LedgerAction(StrEnum):
    """What to do with the ledger."""

    verify = "verify"
    export = "export"
    roles = "roles"


def ledger(
    action: Annotated[
        LedgerAction, typer.Argument(help="Verify the hash chain, export all entries, or print the SQL of the roles.")
    ],
    project: Annotated[
        str | None, typer.Option(help="Export the entries of one project.", autocompletion=complete_project)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to export to; by default standard output.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="mlflow|FILE", help="Compare with entries that MLflow's tags or an export know."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Verify or export the ledger, or print its database roles.

    An export is one JSON object a line, oldest first. The roles are SQL for PostgreSQL.
    """
    if action is LedgerAction.export and json and out is None:
        raise typer.BadParameter("an export is many JSON objects: name a file with --out", param_hint="--json")
    with command_output(json, debug) as output:
        from refit_deployments.actions.ledger import export, print_ledger, roles, verify

        if action is LedgerAction.verify:
            output.show_result(verify(against))
        elif action is LedgerAction.roles:
            output.show_result(roles())
        elif out is None:
            print_ledger(project)
        else:
            output.show_result(export(project, out))
