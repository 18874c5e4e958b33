"""The commands that carry all state elsewhere and back: `refit backup`, `refit restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.cli.state_commands import DryRun
from refit_deployments.output import answering

NewDirectory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where to put it; not there yet, or empty.")]
BackupDirectory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="What `refit backup` has made.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (backup, restore):
        app.command()(command)


def backup(directory: NewDirectory, json: Json = False, debug: Debug = False) -> None:
    """Copy ledger, tables, models and what is embedded of MLflow and Prefect, while they are in use."""
    with answering(json, debug, "backup: copying the ledger") as output:
        from refit_deployments.actions.backing_up import back_up_here
        from refit_tasks.runs.audit_log import noted

        with noted("backup", None):
            answer = back_up_here(directory)
        output.show(answer)


def restore(directory: BackupDirectory, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Put a backup back, into a place without any state; stop all else that uses it before."""
    with answering(json, debug, "restore: looking at the backup") as output:
        from refit_deployments.actions.backing_up import restore_here
        from refit_tasks.runs.audit_log import noted

        with noted("restore --dry-run" if dry_run else "restore", None):
            answer = restore_here(directory, dry_run=dry_run)
        output.show(answer)
