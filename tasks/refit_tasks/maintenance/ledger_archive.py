"""Retention of the ledger: its oldest entries go into a file, and the chain goes on from the hash it ends with.

An entry of the kind `archive` names that hash and the file's own; it is in the chain like any other, so that whoever
takes entries away without it, or exchanges the file, is found out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, delete, select

from refit.records.ledger import Entry
from refit.results.upkeep import Finding
from refit_infra.settings import Settings
from refit_tasks.errors import naming_the_fix
from refit_tasks.ledger.append_only import unlocked
from refit_tasks.ledger.database import champions, ledger, reading, writing
from refit_tasks.ledger.export import as_line
from refit_tasks.ledger.generations import successions
from refit_tasks.ledger.record import known_projects
from refit_tasks.ledger.transactions import append, as_entry
from refit_tasks.maintenance.kept import find_kept
from refit_tasks.registry.mlflow_client import open_mlflow


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
    needed = min((number for project in known_projects() for number in _needed(project, newest)), default=0)
    with reading() if dry_run else writing() as connection:
        old = list(_old(connection, needed, at - timedelta(days=days)))
        if not old:
            return
        file = Settings().home / "archive" / f"ledger-{old[0].id:09}-{old[-1].id:09}.jsonl"
        sentence = f"{len(old):,} entries of the ledger until {old[-1].at:%Y-%m-%d} go to {file}"
        if not dry_run:
            _move(connection, old, file, at)
        yield Finding("ledger", f"entries {old[0].id} to {old[-1].id}", "archived", sentence)


def _needed(project: str, newest: int) -> Iterator[int]:
    """Names the entries of a project that must stay."""
    kept = find_kept(open_mlflow(), project, newest).versions
    with reading() as connection:
        for place, (entry, champion) in enumerate(successions(connection, project)):
            if place < max(1, newest) or champion.version in kept:
                yield entry.id
        latest = dict[str, int]()
        for row in connection.execute(select(ledger).where(ledger.c.project == project).order_by(ledger.c.id)):
            latest[row.kind] = row.id
            if _is_about(as_entry(row), kept):
                yield row.id
    yield from latest.values()


def _is_about(entry: Entry, kept: frozenset[int]) -> bool:
    """Tells whether a kept version cannot be explained without an entry: its verdict, or what its rows have lost."""
    if entry.kind == "erasure":
        return not kept.isdisjoint(entry.payload["versions"])
    return entry.kind == "verdict" and entry.payload["version"] in kept


def _old(connection: Connection, needed: int, before: datetime) -> Iterator[Entry]:
    rows = connection.execute(select(ledger).where(ledger.c.id < needed).order_by(ledger.c.id))
    for entry in map(as_entry, rows):
        if entry.at >= before:
            return
        yield entry


def _move(connection: Connection, old: list[Entry], file: Path, at: datetime) -> None:
    """Writes the file, then takes the entries out of the database; both or, after a crash, the file alone."""
    text = "".join(as_line(entry) + "\n" for entry in old)
    with naming_the_fix(str(file), "REFIT_HOME"):
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
    with unlocked(connection):
        connection.execute(delete(champions).where(champions.c.ledger_id <= last.id))
        connection.execute(delete(ledger).where(ledger.c.id <= last.id))
