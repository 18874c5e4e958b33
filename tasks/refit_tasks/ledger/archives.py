"""The files that `refit prune` moves old ledger entries to, and their verification against the remaining entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from sqlalchemy import Connection, select

from refit.errors import LedgerBroken
from refit.records.ledger import GENESIS, Entry, find_broken_entry
from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors
from refit_tasks.ledger.database import ledger
from refit_tasks.ledger.transactions import as_entry

ARCHIVE = "archive"
"""The directory of the files, within `REFIT_HOME` or a backup."""


def read_archives(connection: Connection, directory: Path | None = None) -> Iterator[list[Entry]]:
    """Reads and verifies the archive files that precede the entries of the database.

    Args:
        connection: A connection from `refit_tasks.ledger.database`.
        directory: The directory of the files; that of `REFIT_HOME` by default.

    Yields:
        The entries of each file, the newest file first.

    Raises:
        LedgerBroken: As in `verify_archives`.
    """
    first = connection.execute(select(ledger).order_by(ledger.c.id).limit(1)).first()
    made = connection.execute(select(ledger).where(ledger.c.kind == "archive").order_by(ledger.c.id.desc()))
    archived = [as_entry(row) for row in made]
    if first:
        yield from verify_archives(as_entry(first), archived, directory or Settings().home / ARCHIVE)


def verify_archives(first: Entry, archived: Iterable[Entry], directory: Path) -> Iterator[list[Entry]]:
    """Opens every archive file before an entry, and verifies its hash and its hash chain.

    Args:
        first: The first entry that is in no file.
        archived: The entries of the kind `archive` among those that are in no file, newest first.
        directory: The directory of the files.

    Yields:
        The entries of each file, the newest file first.

    Raises:
        LedgerBroken: If a file is missing, was changed, or does not continue the chain; the message names it.
    """
    known, end = [made.payload for made in archived], (first.id - 1, first.previous)
    while end[0]:
        facts = next((one for one in known if (one["until"], one["hash"]) == end), None)
        if facts is None:
            raise LedgerBroken(f"the ledger was tampered with: no entry names the archive file that ends with {end[0]}")
        found = _read_archive(directory / PurePath(facts["file"]).name, facts)
        yield found
        known += [one.payload for one in reversed(found) if one.kind == "archive"]
        end = (found[0].id - 1, found[0].previous)
    if end[1] != GENESIS:
        raise LedgerBroken("the ledger was tampered with: its first entry follows another one, and no archive has it")


def _read_archive(file: Path, facts: dict[str, Any]) -> list[Entry]:
    last = facts["until"]
    if not file.is_file():
        raise LedgerBroken(
            f"the archive file {file} with {facts['entries']} entries until {last} is missing: copy it there from the "
            f"REFIT_HOME of the `refit prune` that wrote it, or from a backup"
        )
    with translate_store_errors(str(file), "REFIT_HOME"):
        content = file.read_bytes()
    changed = LedgerBroken(
        f"the archive file {file} is not the one that the ledger has recorded for the entries until {last}: restore "
        f"it from a backup"
    )
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise changed
    found = list(parse_entries(content.decode().splitlines()))
    before = (found[0].id - 1, found[0].previous) if found else (0, GENESIS)
    if not found or find_broken_entry(found, before) or (found[-1].id, found[-1].hash) != (last, facts["hash"]):
        raise changed
    return found


def parse_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Parses the lines of an archive, an export or a backup.

    Args:
        lines: One JSON object each, as `as_line` writes it.

    Yields:
        The entries.
    """
    for line in lines:
        said = json.loads(line)
        yield Entry(**{**said, "at": datetime.fromisoformat(said["at"])})
