"""Retention of rows: those that are older than a project keeps leave its table, and its quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from refit.results.upkeep import Finding
from refit.windows import BEGINNING, Window
from refit_infra.settings import Settings
from refit_tasks.catalog import discover
from refit_tasks.ingestion.quarantine import quarantine_of
from refit_tasks.maintenance.prune_tables import vacuumed
from refit_tasks.storage.delta import open_table, read, redo, within


def prune_rows(project: str, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Lets go of rows that are older than the project's `ingestion.keep`.

    The table's former versions keep them as long as a kept model needs one of these; nobody needs those of the
    quarantine.

    Args:
        project: The project's name.
        hours: How long a file stays that the newest version of the quarantine has let go.
        dry_run: Whether to find only.

    Yields:
        What was let go; nothing where the project has no file any more, or keeps all.
    """
    directory = Settings().projects
    definition = discover(directory).projects.get(project) if directory.is_dir() else None
    if definition is None or definition.ingestion.keep is None:
        return
    end = datetime.now(UTC) - definition.ingestion.keep
    yield from _let_go(project, definition.timestamp, end, dry_run)
    yield from _let_go(quarantine_of(definition), "quarantined_at", end, dry_run)
    yield from vacuumed(quarantine_of(definition), hours, dry_run)


def _let_go(name: str, column: str, end: datetime, dry_run: bool) -> Iterator[Finding]:
    old = within(column, Window(BEGINNING, end))
    table = open_table(name)
    rows = sum(part.num_rows for part in read(table, [column], old)) if table else 0
    if rows and not dry_run:
        redo(partial(_delete, name, old), name)
    if rows:
        sentence = f"{rows:,} rows of {name} are from before {end:%Y-%m-%d}, longer ago than ingestion.keep: removed"
        yield Finding("table", name, "removed", sentence)


def _delete(name: str, where: str) -> None:
    from deltalake import CommitProperties

    if table := open_table(name):
        table.delete(where, commit_properties=CommitProperties(max_commit_retries=0))
