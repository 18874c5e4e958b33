"""Retention (`refit prune`) of versions, rows and ledger entries; what a kept version needs is never removed.

Old ledger entries are moved to a file, and the hash chain continues from the last one. An entry of kind `archive` holds
that hash and the file's checksum, so that missing entries or a changed file are detected.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, delete, select

from refit.records.ledger import Entry
from refit.results.maintenance import Finding
from refit.windows import BEGINNING, Window
from refit_infra.settings import Settings
from refit_tasks.catalog import discover
from refit_tasks.decision.lock import project_lock
from refit_tasks.errors import translate_store_errors
from refit_tasks.ledger.database import allow_deletion, champions, ledger, reading, writing
from refit_tasks.ledger.export import as_line
from refit_tasks.ledger.generations import generations_of
from refit_tasks.ledger.record import known_projects
from refit_tasks.ledger.transactions import append, as_entry
from refit_tasks.maintenance.lock import removal_lock
from refit_tasks.maintenance.prune_models import find_kept, prune_runs, prune_versions
from refit_tasks.maintenance.prune_tables import compact, prune_predictions, prune_table, vacuum_table
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.storage.delta import open_table, read, retry_on_conflict, tables_of, within
from refit_tasks.storage.quarantine_table import quarantine_of
from refit_tasks.storage.staging import no_ingest_running

log = logging.getLogger(__name__)


@removal_lock()
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
    for finding in _prune_all(project, newest, grace, dry_run):
        log.info("%s", finding.sentence)
        found.append(finding)
    return found


def _prune_all(project: str | None, newest: int, hours: float, dry_run: bool) -> Iterator[Finding]:
    for name in [project] if project else sorted(known_projects()):
        yield from _prune_project(name, newest, hours, dry_run)
    days = Settings().ledger_days
    if days is not None and project is None:  # the ledger is of all projects
        yield from archive_ledger(days, newest, datetime.now(UTC), dry_run=dry_run)


def _prune_project(project: str, newest: int, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Holds the project's turn meanwhile: a retrain that runs has pinned rows that no verdict names yet."""
    with project_lock(project, seconds=0) as free:
        if not free:
            yield Finding("turn", project, "left", f"a retrain of {project} is under way: left for another time")
            return
        client = open_mlflow()
        kept = find_kept(client, project, newest)
        yield from prune_versions(client, project, kept, dry_run)
        yield from prune_runs(client, project, kept, dry_run)
        yield from prune_predictions(project, Settings().keep_predictions_days, hours, dry_run)
        with no_ingest_running() as quiet:
            if not quiet:
                sentence = f"an ingest is under way: the tables of {project} are left for another time"
                yield Finding("table", project, "left", sentence)
                return
            yield from prune_rows(project, hours, dry_run)
            for name in tables_of(project):
                yield from compact(name, dry_run)
            yield from prune_table(project, kept, hours, dry_run)


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
    yield from _remove_old_rows(project, definition.timestamp, end, dry_run)
    yield from _remove_old_rows(quarantine_of(definition), "quarantined_at", end, dry_run)
    yield from vacuum_table(quarantine_of(definition), hours, dry_run)


def _remove_old_rows(name: str, column: str, end: datetime, dry_run: bool) -> Iterator[Finding]:
    old = within(column, Window(BEGINNING, end))
    table = open_table(name)
    rows = sum(part.num_rows for part in read(table, [column], old)) if table else 0
    if rows and not dry_run:
        retry_on_conflict(partial(_delete, name, old), name)
    if rows:
        sentence = f"{rows:,} rows of {name} are from before {end:%Y-%m-%d}, longer ago than ingestion.keep: removed"
        yield Finding("table", name, "removed", sentence)


def _delete(name: str, where: str) -> None:
    from deltalake import CommitProperties

    if table := open_table(name):
        table.delete(where, commit_properties=CommitProperties(max_commit_retries=0))


def archive_ledger(days: float, newest: int, at: datetime, *, dry_run: bool) -> Iterator[Finding]:
    """Moves entries that are older than that, and that nothing needs any more, into a file.

    Kept are the entries of kept versions and generations, the newest of each kind, and all that follow the first of
    these.

    Args:
        days: How old an entry has to be.
        newest: How many of the newest versions, and generations, a project keeps.
        at: The clock, UTC.
        dry_run: Whether to find only.

    Yields:
        What was moved; nothing where all is kept.

    Raises:
        StateError: If the file or the ledger cannot be written.
    """
    needed = min(
        (number for project in known_projects() for number in _find_needed_entries(project, newest)), default=0
    )
    with reading() if dry_run else writing() as connection:
        old = list(_read_old_entries(connection, needed, at - timedelta(days=days)))
        if not old:
            return
        file = Settings().home / "archive" / f"ledger-{old[0].id:09}-{old[-1].id:09}.jsonl"
        sentence = f"{len(old):,} entries of the ledger until {old[-1].at:%Y-%m-%d} go to {file}"
        if not dry_run:
            _archive_entries(connection, old, file, at)
        yield Finding("ledger", f"entries {old[0].id} to {old[-1].id}", "archived", sentence)


def _find_needed_entries(project: str, newest: int) -> Iterator[int]:
    """Names the entries of a project that must stay."""
    kept = find_kept(open_mlflow(), project, newest).versions
    with reading() as connection:
        for place, (entry, champion) in enumerate(generations_of(connection, project)):
            if place < max(1, newest) or champion.version in kept:
                yield entry.id
        latest = dict[str, int]()
        for row in connection.execute(select(ledger).where(ledger.c.project == project).order_by(ledger.c.id)):
            latest[row.kind] = row.id
            if _explains_kept_version(as_entry(row), kept):
                yield row.id
    yield from latest.values()


def _explains_kept_version(entry: Entry, kept: frozenset[int]) -> bool:
    """Tells whether a kept version cannot be explained without an entry: its verdict, or what its rows have lost."""
    if entry.kind == "erasure":
        return not kept.isdisjoint(entry.payload["versions"])
    return entry.kind == "verdict" and entry.payload["version"] in kept


def _read_old_entries(connection: Connection, needed: int, before: datetime) -> Iterator[Entry]:
    rows = connection.execute(select(ledger).where(ledger.c.id < needed).order_by(ledger.c.id))
    for entry in map(as_entry, rows):
        if entry.at >= before:
            return
        yield entry


def _archive_entries(connection: Connection, old: list[Entry], file: Path, at: datetime) -> None:
    """Writes the file, then takes the entries out of the database; both or, after a crash, the file alone."""
    text = "".join(as_line(entry) + "\n" for entry in old)
    with translate_store_errors(str(file), "REFIT_HOME"):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(file)
    last = old[-1]
    digest = hashlib.sha256(text.encode()).hexdigest()
    facts = {"until": last.id, "hash": last.hash, "file": file.name, "sha256": digest, "entries": len(old)}
    append(connection, last.project, "archive", facts, at)
    with allow_deletion(connection):
        connection.execute(delete(champions).where(champions.c.ledger_id <= last.id))
        connection.execute(delete(ledger).where(ledger.c.id <= last.id))
