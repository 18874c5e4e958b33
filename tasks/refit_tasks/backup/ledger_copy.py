"""The ledger in a backup: one JSON object a line, whatever database it was in and whatever it is to go into."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from refit.errors import StateError
from refit.records.ledger import Entry, canonical
from refit.results.maintenance import Ledger
from refit_tasks.backup.archive import Copies
from refit_tasks.ledger.database import champions, ledger, reading, writing
from refit_tasks.ledger.export import as_line
from refit_tasks.ledger.record import verify_within
from refit_tasks.ledger.transactions import as_entry

LEDGER = "ledger.jsonl"
MANY = 500
"""How many entries are written to the database at once."""


def copy_ledger(copies: Copies) -> Ledger:
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
        return _end(connection)


def ledger_end() -> Ledger:
    """Reads where the ledger ends.

    Returns:
        Its newest entry.
    """
    with reading() as connection:
        return _end(connection)


def fill_ledger(file: Path, end: Ledger) -> None:
    """Puts entries back, all of them or none; done twice, it changes nothing.

    Args:
        file: What `copy_ledger` has written.
        end: What the ledger is to end with.

    Raises:
        StateError: If there are other entries already.
        LedgerBroken: If they do not follow from each other.
    """
    with writing() as connection:
        there = _end(connection)
        if there == end:
            return
        if there.entries:
            raise StateError(f"the ledger holds {there.entries:,} entries already: restore into an empty one")
        lines = _entries(file)
        while entries := list(islice(lines, MANY)):
            connection.execute(insert(ledger), [_row(entry) for entry in entries])
            if standing := [_champion(entry) for entry in entries if entry.kind in ("promotion", "rollback")]:
                connection.execute(insert(champions), standing)
        verify_within(connection)


def _end(connection: Connection) -> Ledger:
    newest = connection.execute(select(ledger.c.hash).order_by(ledger.c.id.desc()).limit(1)).scalar_one_or_none()
    count = connection.execute(select(func.count()).select_from(ledger)).scalar_one()
    return Ledger(entries=count, head=newest or "")


def _entries(file: Path) -> Iterator[Entry]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            said = json.loads(line)
            yield Entry(**{**said, "at": datetime.fromisoformat(said["at"])})


def _row(entry: Entry) -> dict[str, Any]:
    said = {column.name: getattr(entry, column.name) for column in ledger.columns}
    return {**said, "at": entry.at.isoformat(), "payload": canonical(entry.payload)}


def _champion(entry: Entry) -> dict[str, Any]:
    standing = entry.payload["champion"]
    facts = {name: standing[name] for name in ("generation", "version")}
    return {"project": entry.project, "ledger_id": entry.id, **facts}
