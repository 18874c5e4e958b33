"""`refit doctor`, `refit prune`, `refit backup` and `refit restore`: what was found, deleted or copied."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refit.results.maintenance import Finding, Manifest
from refit.windows import format_time
from refit_deployments.output import Result
from refit_tasks.backup.backup import back_up, restore
from refit_tasks.ledger.heads import find_head
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.maintenance.prune import prune
from refit_tasks.maintenance.repeat_erasures import RepeatedErasure, read_erasures, repeat_erasures
from refit_tasks.runs.identity import current_user


def run_doctor(project: str | None, *, dry_run: bool) -> Result:
    """Finds what a crash left, and repairs it.

    Args:
        project: Only this project; all, if `None`.
        dry_run: Whether to change nothing.

    Returns:
        What was found and repaired.
    """
    of_project = f" of {project}" if project else ""
    return _list_findings(
        repair_state(project, dry_run=dry_run),
        project,
        dry_run,
        f"the store{of_project} is healthy: no repair is needed",
    )


def run_prune(project: str | None, keep: int | None, *, dry_run: bool) -> Result:
    """Applies the retention policy.

    Args:
        project: Only this project; all, if `None`.
        keep: The number of newest versions to keep; REFIT_KEEP_VERSIONS, if `None`.
        dry_run: Whether to change nothing.

    Returns:
        What was deleted.
    """
    found = prune(project, keep=keep, dry_run=dry_run)
    return _list_findings(found, project, dry_run, "there is nothing to delete")


def _list_findings(findings: list[Finding], project: str | None, dry_run: bool, nothing: str) -> Result:
    facts = {"project": project, "dry_run": dry_run, "findings": [asdict(finding) for finding in findings]}
    lines = [finding.sentence for finding in findings] or [nothing]
    if dry_run and findings:
        lines.append("dry run: nothing was changed")
    return Result(facts, lines)


def run_backup(directory: Path) -> Result:
    """Makes a backup.

    Args:
        directory: A new or empty directory.

    Returns:
        Its contents.
    """
    place = directory.expanduser().absolute()
    made = back_up(place, datetime.now(UTC))
    missing = ["the MLflow server is not included: back up its database and artifacts now"]
    left = missing if made.artifacts is None else []
    return Result(_facts(place, made), [f"{place}: {_contents(made)}", *(f"  {line}" for line in left)])


def run_restore(directory: Path, export: Path | None = None, *, dry_run: bool) -> Result:
    """Restores a backup, and repeats the erasures that were recorded since.

    Args:
        directory: The backup.
        export: An export of the lost ledger; without it no erasure is repeated.
        dry_run: Whether to test only if the backup can be restored.

    Returns:
        Its contents, and the repeated erasures.
    """
    place = directory.expanduser().absolute()
    found = restore(place, dry_run=dry_run)
    done = "can be restored" if dry_run else "restored"
    lines = [f"{done}: {_contents(found)}, as of {format_time(found.made_at)} UTC"]
    repeated = list[RepeatedErasure]()
    if export is None:
        lines.append("  rows erased after that time with `refit forget` are back: erase them again, or use --erasures")
    elif not dry_run:
        head = find_head()
        erasures = read_erasures(export, head.id if head else 0)
        repeated = list(repeat_erasures(erasures, current_user(), datetime.now(UTC)))
        lines.append(f"  {len(repeated):,} erasures were recorded after that time")
        lines += [f"  entry {one.entry}, {one.project}: {one.outcome}" for one in repeated]
    facts = {"dry_run": dry_run, "erasures": [asdict(one) for one in repeated]}
    return Result({**_facts(place, found), **facts}, lines)


def _facts(place: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "directory": str(place),
        "made_at": manifest.made_at.isoformat(),
        "entries": manifest.ledger.entries,
        "tables": manifest.tables,
        "mlflow": "elsewhere" if manifest.artifacts is None else "included",
        "files": len(manifest.files),
        "bytes": manifest.size,
    }


def _contents(manifest: Manifest) -> str:
    parts = f"{manifest.ledger.entries:,} ledger entries, {len(manifest.tables)} tables"
    return f"{parts}, {len(manifest.files):,} files of {manifest.size / 1e6:,.1f} MB"
