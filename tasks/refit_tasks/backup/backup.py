"""Backup and restore of all of Refit's own state, while it is in use.

The ledger is copied first, as one JSON object a line, whatever its database. Tables and models that it names existed
before they were recorded, so they are in the backup; later records are not. Removals are locked out meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from refit.errors import StateError
from refit.records.ledger import Entry, canonical_json, find_broken_entry
from refit.results.maintenance import Ledger, Manifest
from refit_infra.settings import Settings
from refit_tasks.backup.archive import BackupFiles, new_backup, read_manifest, verify_checksums, write_manifest
from refit_tasks.backup.contents import copy_home, copy_tables, list_existing, restore_home, restore_table
from refit_tasks.ledger.archives import ARCHIVE, parse_entries, verify_archives
from refit_tasks.ledger.database import champions, ledger, reading, writing
from refit_tasks.ledger.export import as_line
from refit_tasks.ledger.record import verify_within
from refit_tasks.ledger.restore_marker import mark_restore, unfinished_restore
from refit_tasks.ledger.transactions import as_entry, tampering_error
from refit_tasks.maintenance.erasure_records import require_salt
from refit_tasks.maintenance.lock import backup_lock
from refit_tasks.maintenance.remaining_places import record_backup
from refit_tasks.storage.delta import tables_of
from refit_tasks.storage.table_files import TableFiles

log = logging.getLogger(__name__)


def back_up(directory: Path, at: datetime) -> Manifest:
    """Copies the ledger, the tables, and what is embedded of MLflow and Prefect.

    Args:
        directory: Where, absolute; not there yet, or empty.
        at: The clock, UTC.

    Returns:
        What is in it.

    Raises:
        StateError: If there is something already, or some state cannot be read; no directory is left then.
    """
    require_salt()
    with backup_lock(), new_backup(directory) as copies:
        ledger = copy_ledger(copies)
        log.info("copied %d entries of the ledger", ledger.entries)
        artifacts, tables = copy_home(copies), copy_tables(copies)
        manifest = Manifest(
            made_at=at,
            refit=version("refit-ml"),
            ledger=ledger,
            tables=tables,
            artifacts=artifacts,
            files=copies.stamps,
        )
        write_manifest(copies, manifest)
        record_backup(directory, at)  # before it is there: none may be unknown
    log.info("copied %d tables and %d files in all", len(tables), len(manifest.files))
    return manifest


def restore(directory: Path, *, dry_run: bool = False) -> Manifest:
    """Puts a backup back to where the settings want it. Killed at any moment and done again, it ends the same.

    Args:
        directory: The backup; absolute.
        dry_run: Whether to find out only if it could be restored.

    Returns:
        What was in it.

    Raises:
        StateError: If the backup is damaged or incomplete, or there is state already; nothing is changed then.
        LedgerBroken: If its ledger, or an archive file of it, is not as it was recorded; nothing is changed then.
    """
    manifest = read_manifest(directory)
    _require_same_services(directory, manifest)
    verify_checksums(directory, manifest)
    _require_intact_ledger(directory)
    if unfinished_restore() != directory:
        _require_empty(manifest)
    if dry_run:
        return manifest
    with backup_lock(), mark_restore(directory):
        restore_home(directory, manifest)
        for name in manifest.tables:
            restore_table(name, directory, manifest)
        # Last: without it there is no champion, and whoever was killed has left nothing that looks whole.
        restore_ledger(directory / LEDGER, manifest.ledger)
    log.info("restored %d entries of the ledger and %d tables", manifest.ledger.entries, len(manifest.tables))
    return manifest


def _require_same_services(directory: Path, manifest: Manifest) -> None:
    server = Settings().tracking_uri
    if manifest.artifacts and server:
        raise StateError(f"{directory} holds MLflow's own state, and MLFLOW_TRACKING_URI names a server: unset it")
    if not manifest.artifacts and not server:
        raise StateError(
            f"{directory} was made beside an MLflow server, which keeps the models: restore that one from its own "
            f"backup, and name it in MLFLOW_TRACKING_URI"
        )


def _require_empty(manifest: Manifest) -> None:
    settings = Settings()
    taken = [f"{settings.home}/{name}" for name in list_existing(settings)]
    taken += [
        f"{settings.tables}/{name}"
        for name in sorted({*manifest.tables, *tables_of()})
        if TableFiles(name).list_files()
    ]
    if count := read_ledger_end().entries:
        taken.append(f"a ledger of {count:,} entries")
    if taken:
        raise StateError(
            f"state exists already ({taken[0]}): restore into an empty place, set by REFIT_HOME, REFIT_STORE_URI and "
            f"REFIT_DATABASE_URL"
        )


LEDGER = "ledger.jsonl"
MANY = 500
"""How many entries are written to the database at once."""


def copy_ledger(copies: BackupFiles) -> Ledger:
    """Copies the ledger as it is at one moment, if it is intact.

    Args:
        copies: The backup.

    Returns:
        Where it ends.

    Raises:
        LedgerBroken: If an entry is not as it was recorded: a good backup should not be followed by a bad one.
    """
    with reading() as connection:
        verify_within(connection)
        rows = connection.execute(select(ledger).order_by(ledger.c.id).execution_options(yield_per=MANY))
        copies.write(LEDGER, (f"{as_line(as_entry(row))}\n".encode() for row in rows))
        return _read_end(connection)


def read_ledger_end() -> Ledger:
    """Reads where the ledger ends.

    Returns:
        Its newest entry.
    """
    with reading() as connection:
        return _read_end(connection)


def restore_ledger(file: Path, end: Ledger) -> None:
    """Puts entries back, all of them or none; done twice, it changes nothing.

    Args:
        file: What `copy_ledger` has written.
        end: What the ledger is to end with.

    Raises:
        StateError: If there are other entries already.
        LedgerBroken: If they do not follow from each other.
    """
    with writing() as connection:
        there = _read_end(connection)
        if there == end:
            return
        if there.entries:
            raise StateError(f"the ledger holds {there.entries:,} entries already: restore into an empty one")
        lines = _read_entries(file)
        while entries := list(islice(lines, MANY)):
            connection.execute(insert(ledger), [_row(entry) for entry in entries])
            if standing := [_champion_row(entry) for entry in entries if entry.kind in ("promotion", "rollback")]:
                connection.execute(insert(champions), standing)
        verify_within(connection)


def _read_end(connection: Connection) -> Ledger:
    newest = connection.execute(select(ledger.c.hash).order_by(ledger.c.id.desc()).limit(1)).scalar_one_or_none()
    count = connection.execute(select(func.count()).select_from(ledger)).scalar_one()
    return Ledger(entries=count, head=newest or "")


def _read_entries(file: Path) -> Iterator[Entry]:
    with file.open(encoding="utf-8") as lines:
        yield from parse_entries(lines)


def _require_intact_ledger(directory: Path) -> None:
    """Verifies the ledger of a backup and its archive files, before anything is restored."""
    file = directory / LEDGER
    first = next(_read_entries(file), None)
    if first is None:
        return
    archived = [one for one in _read_entries(file) if one.kind == "archive"]
    for _ in verify_archives(first, reversed(archived), directory / ARCHIVE):
        pass
    if broken := find_broken_entry(_read_entries(file), (first.id - 1, first.previous)):
        raise tampering_error(broken)


def _row(entry: Entry) -> dict[str, Any]:
    said = {column.name: getattr(entry, column.name) for column in ledger.columns}
    return {**said, "at": entry.at.isoformat(), "payload": canonical_json(entry.payload)}


def _champion_row(entry: Entry) -> dict[str, Any]:
    standing = entry.payload["champion"]
    facts = {name: standing[name] for name in ("generation", "version")}
    return {"project": entry.project, "ledger_id": entry.id, **facts}
