"""The commands that go back: `refit rollback`, `reproduce`, `forget` and `restore`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, DryRun, Json, ProjectName, Reason
from refit_deployments.output import command_output


def rollback(
    project: ProjectName,
    to: Annotated[
        int | None, typer.Option(min=1, help="The version to return to; by default the previous one.")
    ] = None,
    reason: Reason = "manual",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make an earlier champion serve again."""
    gc.disable()  # a quarter of the time that the imports take; a command this short creates little garbage
    with command_output(json, debug) as output:
        from refit_deployments.actions.champion import roll_back_champion
        from refit_tasks.runs.audit_log import audited

        with audited("rollback", project, recorded=True):
            result = roll_back_champion(project, to, reason)
        output.show_result(result)


Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A registered version.")]


def reproduce(project: ProjectName, version: Version, json: Json = False, debug: Debug = False) -> None:
    """Rebuild a version from the record and compare both."""
    with command_output(json, debug, f"reproduce {project} version {version}: starting Prefect") as output:
        from refit_deployments.actions.retrain import reproduce_version

        output.show_result(reproduce_version(project, version))


def forget(
    project: ProjectName,
    key: Annotated[
        list[str],
        typer.Option(
            metavar="K",
            help="A value of the key, or COLUMN=VALUE; may be repeated. `-` reads values from standard input, one a "
            "line, which keeps them out of the shell's history.",
        ),
    ],
    why: Annotated[str, typer.Option(help="The reason, as recorded in the ledger; without a person's name.")] = "",
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Erase rows by key from all tables and their old versions."""
    with command_output(json, debug, f"forget {project}: looking for the rows") as output:
        from refit_deployments.actions.erase import erase_rows, read_keys
        from refit_tasks.runs.audit_log import audited

        with audited("forget", project, recorded=True):
            result = erase_rows(project, read_keys(key), why, dry_run=dry_run)
        output.show_result(result)


BackupDirectory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A directory made by `refit backup`.")]


def restore(
    directory: BackupDirectory,
    erasures: Annotated[
        Path | None,
        typer.Option(metavar="EXPORT", help="An export of the lost ledger, whose later erasures are repeated."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Restore a backup into a home that has no state.

    Stop every other process that uses this home first.
    """
    with command_output(json, debug, "restore: reading the backup") as output:
        from refit_deployments.actions.maintenance import run_restore
        from refit_tasks.runs.audit_log import audited

        with audited("restore --dry-run" if dry_run else "restore", None):
            result = run_restore(directory, erasures, dry_run=dry_run)
        output.show_result(result)
