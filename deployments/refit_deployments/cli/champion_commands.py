"""The commands that say who serves: `refit champion`, `rollback`, `approve`, and `refit ledger ...`.

The commands about what a version is made of: `refit reproduce` and `refit card`.
"""

from __future__ import annotations

import gc
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json, Moment, ProjectName
from refit_deployments.output import Result, command_output


class LedgerAction(StrEnum):
    """What to do with the ledger."""

    verify = "verify"
    export = "export"
    roles = "roles"


def champion(project: ProjectName, at: Moment = None, json: Json = False, debug: Debug = False) -> None:
    """Show the version that serves, or served at a moment, and where it came from."""
    with command_output(json, debug) as output:
        from refit_deployments.actions.champion import champion as read

        output.show(read(project, at))


def rollback(
    project: ProjectName,
    to: Annotated[int | None, typer.Option(min=1, help="The version to return to; by default the one before.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the people who read the record.")] = "manual",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a former champion serve again, in one entry of the ledger."""
    gc.disable()  # a quarter of the two seconds that the imports take; so short a command leaves no garbage that counts
    with command_output(json, debug) as output:
        from refit_deployments.actions.champion import rollback as run
        from refit_tasks.runs.audit_log import audited

        with audited("rollback", project, recorded=True):
            answer = run(project, to, reason)
        output.show(answer)


def approve(
    project: ProjectName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version that waits.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it instead.")] = False,
    why: Annotated[str, typer.Option(help="Why, for the people who read the record.")] = "",
    who: Annotated[str | None, typer.Option(help="Who says so; by default whoever is logged in.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Approve, or refuse, a version that the gate found fit and that waits for a person."""
    with command_output(json, debug, f"approve {project} version {version}") as output:
        from refit_deployments.actions.retrain import approve_here
        from refit_tasks.runs.audit_log import audited

        with audited("approve", project, recorded=True):
            answer = approve_here(project, version, approved=not refuse, who=who, why=why)
        output.show(answer)


def ledger(
    action: Annotated[
        LedgerAction, typer.Argument(help="Follow the hash chain, write all entries as JSON lines, or write SQL.")
    ],
    project: Annotated[str | None, typer.Option(help="Export only this project's entries.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to export to; standard output, if left out.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Verify the ledger, export it (one JSON object a line, oldest first), or give the SQL of its PostgreSQL roles."""
    if action is LedgerAction.export and json and out is None:
        raise typer.BadParameter("one JSON object cannot hold them all: name a file with --out", param_hint="--json")
    with command_output(json, debug) as output:
        from refit_deployments.actions.ledger import export, print_ledger, roles, verify

        if action is LedgerAction.verify:
            output.show(verify())
        elif action is LedgerAction.roles:
            output.show(roles())
        elif out is None:
            print_ledger(project)
        else:
            output.show(export(project, out))


Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A registered version.")]
AnyVersion = Annotated[
    int | None, typer.Argument(metavar="[VERSION]", min=1, help="A registered version; the champion, if left out.")
]


def reproduce(project: ProjectName, version: Version, json: Json = False, debug: Debug = False) -> None:
    """Make a version once more from what is on record, and tell whether it is the same, or what differs."""
    with command_output(json, debug, f"reproduce {project} version {version}: starting Prefect") as output:
        output.show(reproduce_here(project, version))


def card(project: ProjectName, version: AnyVersion = None, json: Json = False, debug: Debug = False) -> None:
    """Show the model card of a version: data, scores, slices, verdict, lineage and limits."""
    with command_output(json, debug, f"card of {project}: reading the record") as output:
        output.show(card_here(project, version))


def reproduce_here(project: str, version: int) -> Result:
    """Runs the flow in this process.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        What came of it; a version that differs is an outcome, too.
    """
    from refit_flows.reproduce import reproduce as run
    from refit_tasks.catalog import find_project

    find_project(project)  # a misspelt name should not wait for Prefect's start
    found = run(project, version)
    said = "reproduced" if found.reproduced else "NOT reproduced"
    measured = "nothing to compare" if found.difference is None else f"largest difference {found.difference:.3g}"
    lines = [
        f"{project} version {version}: {said}, with {found.used_code} code; {measured} on {found.rows:,} rows",
        *(f"  {one.what:<8}  recorded {one.recorded}; now {one.now}" for one in found.causes or found.differs),
    ]
    return Result(found.as_json(), lines)


def card_here(project: str, version: int | None) -> Result:
    """Writes the card.

    Args:
        project: The project's name.
        version: The version's number; the champion's, if `None`.

    Returns:
        The card as markdown.
    """
    from refit_tasks.catalog import find_project
    from refit_tasks.reporting.model_card import card_of_version

    number, text = card_of_version(find_project(project), version)
    return Result({"project": project, "version": number, "card": text}, [text])
