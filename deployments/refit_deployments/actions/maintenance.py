"""`refit doctor` and `refit prune`: what keeping order found and did, a line for each thing.

`refit prune`: what retention let go, a line for each thing.

`refit backup` and `refit restore`: what was copied, and what has to be copied by other means.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refit.results.maintenance import Finding, Manifest
from refit_deployments.output import Result
from refit_tasks.backup.backup import back_up, restore
from refit_tasks.maintenance.doctor import mend
from refit_tasks.maintenance.prune import prune


def doctor_here(project: str | None, *, dry_run: bool) -> Result:
    """Finds what a crash has left, and repairs it.

    Args:
        project: Only this project; all, if `None`.
        dry_run: Whether to find only.

    Returns:
        What was found and done.
    """
    findings = mend(project, dry_run=dry_run)
    whose = f" of {project}" if project else ""
    return answer_of(findings, project, dry_run, f"the store{whose} is healthy: a crash has left nothing")


def answer_of(findings: list[Finding], project: str | None, dry_run: bool, nothing: str) -> Result:
    """Words findings.

    Args:
        findings: What was found.
        project: The project that was looked at; all, if `None`.
        dry_run: Whether nothing was changed.
        nothing: What to say where nothing was found.

    Returns:
        The same for programs and for people.
    """
    facts = {"project": project, "dry_run": dry_run, "findings": [asdict(finding) for finding in findings]}
    lines = [finding.sentence for finding in findings] or [nothing]
    if dry_run and findings:
        lines.append("nothing was changed: this was a dry run")
    return Result(facts, lines)


def prune_here(project: str | None, keep: int | None, *, dry_run: bool) -> Result:
    """Applies retention.

    Args:
        project: Only this project; all, if `None`.
        keep: How many of the newest versions are kept; what the settings say, if `None`.
        dry_run: Whether to find only.

    Returns:
        What was let go.
    """
    return answer_of(prune(project, keep=keep, dry_run=dry_run), project, dry_run, "there is nothing to let go")


def back_up_here(directory: Path) -> Result:
    """Makes a backup.

    Args:
        directory: Where.

    Returns:
        What is in it.
    """
    place = directory.expanduser().absolute()
    made = back_up(place, datetime.now(UTC))
    left = (
        ["MLflow's server is not in it: back up its database and its artifacts now"] if made.artifacts is None else []
    )
    return Result(_facts(place, made), [f"{place}: {_contents(made)}", *(f"  {line}" for line in left)])


def restore_here(directory: Path, *, dry_run: bool) -> Result:
    """Puts a backup back.

    Args:
        directory: The backup.
        dry_run: Whether to find out only if it could be.

    Returns:
        What was in it.
    """
    place = directory.expanduser().absolute()
    found = restore(place, dry_run=dry_run)
    done = "could be restored" if dry_run else "restored"
    lines = [
        f"{done}: {_contents(found)}, as of {found.made_at:%Y-%m-%d %H:%M} UTC",
        "  rows that were erased since (`refit forget`) are back: erase them again",
    ]
    return Result({**_facts(place, found), "dry_run": dry_run}, lines)


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
    parts = f"{manifest.ledger.entries:,} entries of the ledger, {len(manifest.tables)} tables"
    return f"{parts}, {len(manifest.files):,} files of {manifest.size / 1e6:,.1f} MB"
