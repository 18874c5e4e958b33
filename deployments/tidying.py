"""The commands that keep the store in order: `refit doctor`, `refit prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.options import Debug, Json
from deployments.output import answering

AnyProject = Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="One project; all, if left out.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (doctor,):
        app.command()(command)


def doctor(project: AnyProject = None, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Find and repair what a crash has left: stale runs, orphans, unreferenced files."""
    with answering(json, debug, "doctor: looking through the store") as output:
        from deployments.doctoring import doctor_here

        output.show(doctor_here(project, dry_run=dry_run))
