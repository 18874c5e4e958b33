"""The commands that keep the store in order: `refit doctor`, `refit prune`.

The commands that carry all state elsewhere and back: `refit backup`, `refit restore`.

The commands about whose data there is, and who did what: `refit forget` and `refit log`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json, ProjectName, Since
from refit_deployments.output import command_output

AnyProject = Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="One project; all, if left out.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def doctor(project: AnyProject = None, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Find and repair what a crash has left: stale runs, orphans, unreferenced files."""
    with command_output(json, debug, "doctor: looking through the store") as output:
        from refit_deployments.actions.maintenance import doctor_here
        from refit_tasks.runs.audit_log import audited

        with audited("doctor --dry-run" if dry_run else "doctor", project):
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
    with command_output(json, debug, "prune: looking through the store") as output:
        from refit_deployments.actions.maintenance import prune_here
        from refit_tasks.runs.audit_log import audited

        with audited("prune --dry-run" if dry_run else "prune", project):
            answer = prune_here(project, keep, dry_run=dry_run)
        output.show(answer)


NewDirectory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where to put it; not there yet, or empty.")]
BackupDirectory = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="What `refit backup` has made.")]


def backup(directory: NewDirectory, json: Json = False, debug: Debug = False) -> None:
    """Copy ledger, tables, models and what is embedded of MLflow and Prefect, while they are in use."""
    with command_output(json, debug, "backup: copying the ledger") as output:
        from refit_deployments.actions.maintenance import back_up_here
        from refit_tasks.runs.audit_log import audited

        with audited("backup", None):
            answer = back_up_here(directory)
        output.show(answer)


def restore(directory: BackupDirectory, dry_run: DryRun = False, json: Json = False, debug: Debug = False) -> None:
    """Put a backup back, into a place without any state; stop all else that uses it before."""
    with command_output(json, debug, "restore: looking at the backup") as output:
        from refit_deployments.actions.maintenance import restore_here
        from refit_tasks.runs.audit_log import audited

        with audited("restore --dry-run" if dry_run else "restore", None):
            answer = restore_here(directory, dry_run=dry_run)
        output.show(answer)


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
    with command_output(json, debug, f"forget rows of {project}") as output:
        from refit_deployments.actions.erase import forget_here, given
        from refit_tasks.runs.audit_log import audited

        with audited("forget", project, recorded=True):
            answer = forget_here(project, given(key), why, dry_run=dry_run)
        output.show(answer)


def log(project: AnyProject = None, since: Since = None, json: Json = False, debug: Debug = False) -> None:
    """Show who did what, and when, by the ledger and by the access log of this REFIT_HOME."""
    with command_output(json, debug) as output:
        from refit_deployments.actions.ledger import show_audit_log

        output.show(show_audit_log(project, since))
