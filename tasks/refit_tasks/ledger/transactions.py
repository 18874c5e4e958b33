"""Reading and appending ledger entries within a transaction that the caller opens and commits."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from refit.errors import LedgerBroken
from refit.records.ledger import GENESIS, Entry, EntryKind, canonical_json, chain_hash
from refit.windows import as_utc
from refit_tasks.ledger.database import ledger


def append(
    connection: Connection,
    project: str,
    kind: EntryKind,
    payload: dict[str, Any],
    at: datetime,
    once: str | None = None,
) -> Entry:
    """Appends an entry within an open transaction.

    Args:
        connection: A connection from `refit_tasks.ledger.database.writing`.
        project: The project's name.
        kind: The kind of the entry.
        payload: The facts, as JSON values.
        at: The time of the event, UTC.
        once: The name under which the entry is recorded once; see `record`.

    Returns:
        The entry, or the earlier one with that name.
    """
    if once is not None and (found := find_once(connection, project, kind, once)):
        return found
    head = connection.execute(select(ledger.c.id, ledger.c.hash).order_by(ledger.c.id.desc()).limit(1)).first()
    number, previous = (head.id + 1, head.hash) if head else (1, GENESIS)
    text = canonical_json(payload)
    digest = chain_hash(previous, project, kind, at, payload, once)
    entry = Entry(number, project, kind, as_utc(at), json.loads(text), previous, digest, once)
    row = {**asdict(entry), "at": entry.at.isoformat(), "payload": text}
    connection.execute(insert(ledger).values(row))
    return entry


def find_once(connection: Connection, project: str, kind: EntryKind, once: str) -> Entry | None:
    """Finds the entry that was recorded under a name that allows only one.

    Args:
        connection: From `refit_tasks.ledger.database`.
        project: The project's name.
        kind: What it records.
        once: The name, as given to `record`.

    Returns:
        The entry, or `None` where there is none.
    """
    return only_entry(
        connection, select(ledger).where(ledger.c.project == project, ledger.c.kind == kind, ledger.c.once == once)
    )


def find_entry(connection: Connection, number: int) -> Entry | None:
    """Finds an entry by its id, within a transaction that does more.

    Args:
        connection: From `refit_tasks.ledger.database`.
        number: The id.

    Returns:
        The entry, or `None` where there is none.
    """
    return only_entry(connection, select(ledger).where(ledger.c.id == number))


def newest_entry(connection: Connection, project: str, kind: EntryKind) -> Entry | None:
    """Finds a project's newest entry of a kind, within a transaction that does more.

    Args:
        connection: From `refit_tasks.ledger.database`.
        project: The project's name.
        kind: What it records.

    Returns:
        The entry, or `None` where there is none.
    """
    mine = select(ledger).where(ledger.c.project == project, ledger.c.kind == kind)
    return only_entry(connection, mine.order_by(ledger.c.id.desc()).limit(1))


def as_entry(row: Row[Any]) -> Entry:
    """Reads a row of the ledger's table.

    Args:
        row: All its columns.

    Returns:
        The entry.

    Raises:
        LedgerBroken: If the row was changed and is no longer a valid entry.
    """
    try:
        at, payload = datetime.fromisoformat(row.at), json.loads(row.payload)
    except ValueError as error:
        raise tampering_error(row.id) from error
    return Entry(row.id, row.project, row.kind, at, payload, row.previous, row.hash, row.once)


def as_unaltered_entry(row: Row[Any]) -> Entry:
    """Reads a row and checks that its text is canonical, since other spaces in its JSON are a change, too.

    Args:
        row: All columns of the row.

    Returns:
        The entry.

    Raises:
        LedgerBroken: If the text of the row is not canonical.
    """
    entry = as_entry(row)
    try:
        written = entry.at.isoformat(), canonical_json(entry.payload)
    except ValueError as error:  # NaN is not JSON, though Python parses it
        raise tampering_error(row.id) from error
    if written != (row.at, row.payload):
        raise tampering_error(row.id)
    return entry


def only_entry(connection: Connection, query: Select[Any]) -> Entry | None:
    """Reads the first entry that a query finds.

    Args:
        connection: From `refit_tasks.ledger.database`.
        query: A selection of whole rows of the ledger.

    Returns:
        The entry, or `None` where there is none.
    """
    row = connection.execute(query).first()
    return as_entry(row) if row else None


def tampering_error(number: int) -> LedgerBroken:
    """Makes the error for a ledger whose hash chain is broken.

    Args:
        number: The id of the first entry that does not match.

    Returns:
        The error, to be raised.
    """
    return LedgerBroken(
        f"the ledger was tampered with: entry {number} does not match the hash chain; restore a backup of the ledger's "
        f"database"
    )


def chain_start(connection: Connection) -> tuple[int, str]:
    """Finds the entry after which the chain of the remaining entries begins.

    Args:
        connection: A connection from `refit_tasks.ledger.database`.

    Returns:
        The id and the hash of the last archived entry; 0 and the genesis hash if nothing was archived or the first
        remaining entry does not follow an archive.
    """
    first = connection.execute(select(ledger).order_by(ledger.c.id).limit(1)).first()
    if first is None or first.id == 1:
        return 0, GENESIS
    made = connection.execute(select(ledger).where(ledger.c.kind == "archive").order_by(ledger.c.id.desc()))
    ends = ((entry.payload["until"], entry.payload["hash"]) for entry in map(as_entry, made))
    return next((end for end in ends if end[0] == first.id - 1), (0, GENESIS))
