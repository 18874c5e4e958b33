"""The commands about whose data there is, and who did what: `refit forget`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.options import Debug, Json, ProjectName
from deployments.output import answering
from deployments.tidying import DryRun


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (forget,):
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
        from deployments.forgetting import forget_here, given

        output.show(forget_here(project, given(key), why, dry_run=dry_run))
