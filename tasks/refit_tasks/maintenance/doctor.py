"""Finds what a crash has left, and puts it right: never what a living process or a registered version needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from refit.results.upkeep import Finding
from refit_tasks.decision.lock import holding, projects_with_turns
from refit_tasks.ledger.record import known_projects
from refit_tasks.maintenance.doctor_models import mend_models
from refit_tasks.maintenance.doctor_runs import mend_runs, mend_turn
from refit_tasks.maintenance.doctor_tables import mend_drafts, mend_staging, mend_tables
from refit_tasks.maintenance.erasure_records import unfinished
from refit_tasks.maintenance.lock import removing
from refit_tasks.registry.mlflow_client import projects_in_mlflow

log = logging.getLogger(__name__)


@removing()
def mend(project: str | None = None, *, dry_run: bool = False) -> list[Finding]:
    """Looks through all of Refit's state for what a crash has left, and repairs it; a second time finds nothing.

    Args:
        project: Only this project; all, if `None`.
        dry_run: Whether to find only, and change nothing.

    Returns:
        What was found, in the order in which it was put right.

    Raises:
        StateError: If some state cannot be read or written, or a backup is under way.
    """
    found = []
    for finding in _mended(project, dry_run):
        log.info("%s", finding.sentence)
        found.append(finding)
    return found


def _mended(project: str | None, dry_run: bool) -> Iterator[Finding]:
    yield from mend_drafts(dry_run)
    yield from mend_staging(dry_run)
    quiet: set[str] = set()
    for name in [project] if project else sorted(known_projects() | projects_in_mlflow() | projects_with_turns()):
        # The project's turn is held meanwhile: no training begins here, and one that lives is left alone.
        with holding(name, seconds=0) as free:
            if free:
                quiet.add(name)
                yield from mend_turn(name, dry_run)
                yield from mend_models(name, dry_run)
    yield from mend_tables(project, dry_run)
    yield from unfinished(project)
    # Last, since the lock files of dead runs tell the other repairs who is dead.
    yield from mend_runs(project, quiet, dry_run)
