"""The commands about whose data there is, and who did what: `refit forget` and `refit log`."""

from __future__ import annotations

from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json, ProjectName, Since
from refit_deployments.cli.state_commands import AnyProject, DryRun
from refit_deployments.output import answering


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (forget, log):
        app.command()(command)


def forget(
    project: ProjectName,
    key: Annotated[
        list[str],
        typer.Option(
            metavar="K",
            help="Whose rows: a value of the key, or COLUMN=VALUE; repeat it for more. - reads them from standard "
            "input, one a line, so that no history of a shell keeps them.",
        ),
    ],
    why: Annotated[str, typer.Option(help="Why, for the people who read the record; no name of a person.")] = "",
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Erase somebody's rows from all tables of a project, and from every version of them that is kept."""
    with answering(json, debug, f"forget rows of {project}") as output:
        from refit_deployments.actions.erase import forget_here, given
        from refit_tasks.runs.audit_log import noted

        with noted("forget", project, recorded=True):
            answer = forget_here(project, given(key), why, dry_run=dry_run)
        output.show(answer)


def log(project: AnyProject = None, since: Since = None, json: Json = False, debug: Debug = False) -> None:
    """Show who did what, and when, by the ledger and by the access log of this REFIT_HOME."""
    with answering(json, debug) as output:
        from refit_deployments.actions.logbook import show_deeds

        output.show(show_deeds(project, since))
