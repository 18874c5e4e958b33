"""The commands that keep the store in order: `refit doctor`, `refit prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.output import answering

AnyProject = Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="One project; all, if left out.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (doctor, prune):
        app.command()(command)


def doctor(project: AnyProject = None, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Find and repair what a crash has left: stale runs, orphans, unreferenced files."""
    with answering(json, debug, "doctor: looking through the store") as output:
        from refit_deployments.actions.maintenance import doctor_here
        from refit_tasks.runs.audit_log import noted

        with noted("doctor --dry-run" if dry_run else "doctor", project):
            answer = doctor_here(project, dry_run=dry_run)
        output.show(answer)


def prune(
    project: AnyProject = None,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep the newest N versions; REFIT_KEEP_VERSIONS by default.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let go what nobody returns to; never what a kept version needs to be rebuilt."""
    with answering(json, debug, "prune: looking through the store") as output:
        from refit_deployments.actions.pruning import prune_here
        from refit_tasks.runs.audit_log import noted

        with noted("prune --dry-run" if dry_run else "prune", project):
            answer = prune_here(project, keep, dry_run=dry_run)
        output.show(answer)
