"""Applies retention: what nobody returns to goes, and never what a kept version needs to be explained or rebuilt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from refit.results.upkeep import Finding
from refit_infra.settings import Settings
from refit_tasks.decision.lock import holding
from refit_tasks.ledger.record import known_projects
from refit_tasks.maintenance.kept import find_kept
from refit_tasks.maintenance.ledger_archive import archive_ledger
from refit_tasks.maintenance.lock import removing
from refit_tasks.maintenance.prune_models import prune_runs, prune_versions
from refit_tasks.maintenance.prune_rows import prune_rows
from refit_tasks.maintenance.prune_tables import compact, prune_predictions, prune_table
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.storage.staging import nobody_writing
from refit_tasks.storage.table_names import tables_of

log = logging.getLogger(__name__)


@removing()
def prune(
    project: str | None = None, *, keep: int | None = None, hours: float | None = None, dry_run: bool = False
) -> list[Finding]:
    """Lets go what the settings do not keep; a second time finds nothing.

    Args:
        project: Only this project; all, if `None`.
        keep: How many of the newest versions of a project are kept; `REFIT_KEEP_VERSIONS`, if `None`.
        hours: How long files stay that the newest version of a table has let go; `REFIT_KEEP_HOURS`, if `None`.
        dry_run: Whether to find only, and change nothing.

    Returns:
        What was let go.

    Raises:
        StateError: If some state cannot be read or written, a backup is under way, or a kept version would lose what it
            needs.
    """
    settings = Settings()
    newest = settings.keep_versions if keep is None else keep
    grace = settings.keep_hours if hours is None else hours
    found = []
    for finding in _all_pruned(project, newest, grace, dry_run):
        log.info("%s", finding.sentence)
        found.append(finding)
    return found


def _all_pruned(project: str | None, newest: int, hours: float, dry_run: bool) -> Iterator[Finding]:
    for name in [project] if project else sorted(known_projects()):
        yield from _pruned(name, newest, hours, dry_run)
    days = Settings().ledger_days
    if days is not None and project is None:  # the ledger is of all projects
        yield from archive_ledger(days, newest, datetime.now(UTC), dry_run=dry_run)


def _pruned(project: str, newest: int, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Holds the project's turn meanwhile: a retrain that runs has pinned rows that no verdict names yet."""
    with holding(project, seconds=0) as free:
        if not free:
            yield Finding("turn", project, "left", f"a retrain of {project} is under way: left for another time")
            return
        client = open_mlflow()
        kept = find_kept(client, project, newest)
        yield from prune_versions(client, project, kept, dry_run)
        yield from prune_runs(client, project, kept, dry_run)
        yield from prune_predictions(project, Settings().keep_predictions_days, hours, dry_run)
        with nobody_writing() as quiet:
            if not quiet:
                sentence = f"an ingest is under way: the tables of {project} are left for another time"
                yield Finding("table", project, "left", sentence)
                return
            yield from prune_rows(project, hours, dry_run)
            for name in tables_of(project):
                yield from compact(name, dry_run)
            yield from prune_table(project, kept, hours, dry_run)
