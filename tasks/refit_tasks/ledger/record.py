"""The append-only, hash-chained record of every verdict, decision, promotion and way back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from refit.records.ledger import Entry, EntryKind, find_broken_entry
from refit_tasks.ledger.database import champions, ledger, reading, writing
from refit_tasks.ledger.transactions import (
    append,
    as_entry,
    as_unaltered_entry,
    chain_start,
    find_entry,
    find_once,
    tampering_error,
)

ALL_ENTRIES = 1_000_000
"""More entries than any ledger has: for who wants all of them."""


def record(project: str, kind: EntryKind, payload: dict[str, Any], at: datetime, once: str | None = None) -> Entry:
    """Appends an entry in a transaction of its own.

    Args:
        project: The project's name.
        kind: What the entry records.
        payload: The record itself, as JSON values.
        at: When it happened, UTC.
        once: Names what must not be recorded twice; an entry of that project and kind with that name is returned as
            it stands, and nothing is appended.

    Returns:
        The entry.

    Raises:
        StateError: If the ledger cannot be written.
    """
    with writing() as connection:
        return append(connection, project, kind, payload, at, once)


def entry(number: int) -> Entry | None:
    """Finds an entry by its id.

    Args:
        number: The id.

    Returns:
        The entry, or `None` where there is none.
    """
    with reading() as connection:
        return find_entry(connection, number)


def entries_of(numbers: Collection[int]) -> dict[int, Entry]:
    """Finds entries by their ids, in one query.

    Args:
        numbers: The ids.

    Returns:
        From id to entry; those that there are.
    """
    query = select(ledger).where(ledger.c.id.in_(sorted(numbers)))
    with reading() as connection:
        return {row.id: as_entry(row) for row in connection.execute(query)}


def entry_once(project: str, kind: EntryKind, once: str) -> Entry | None:
    """Finds the entry that was recorded under a name that allows only one.

    Args:
        project: The project's name.
        kind: What it records.
        once: The name, as given to `record`.

    Returns:
        The entry, or `None` where there is none.
    """
    with reading() as connection:
        return find_once(connection, project, kind, once)


def latest(project: str, kind: EntryKind) -> Entry | None:
    """Finds a project's newest entry of a kind.

    Args:
        project: The project's name.
        kind: What it records.

    Returns:
        The entry, or `None` where there is none.
    """
    return next(iter(entries(project, kind, newest=1)), None)


def entries(project: str | None = None, kind: EntryKind | None = None, newest: int = 50) -> list[Entry]:
    """Lists the newest entries.

    Args:
        project: Only this project's; by default all projects'.
        kind: Only those of this kind; by default all.
        newest: How many at most.

    Returns:
        The entries, newest first.
    """
    query = select(ledger).order_by(ledger.c.id.desc()).limit(newest)
    if project is not None:
        query = query.where(ledger.c.project == project)
    if kind is not None:
        query = query.where(ledger.c.kind == kind)
    with reading() as connection:
        return [as_entry(row) for row in connection.execute(query)]


def known_projects() -> set[str]:
    """Names the projects that the ledger knows.

    Returns:
        Every project with an entry.
    """
    with reading() as connection:
        return set(connection.execute(select(ledger.c.project).distinct()).scalars())


def verify_ledger() -> int:
    """Follows the hash chain through the whole ledger, and holds every champion against its promotion or rollback.

    Returns:
        How many entries there are.

    Raises:
        LedgerBroken: If an entry was changed, inserted or removed, or a champion is not the one that was promoted.
    """
    with reading() as connection:
        return verify_within(connection)


def verify_within(connection: Connection) -> int:
    """Does the same within a transaction that does more.

    Args:
        connection: From `refit_tasks.ledger.database`.

    Returns:
        How many entries there are.

    Raises:
        LedgerBroken: As above.
    """
    rows = connection.execute(select(ledger).order_by(ledger.c.id).execution_options(yield_per=1_000))
    broken = find_broken_entry(map(as_unaltered_entry, rows), chain_start(connection))
    if broken is None:
        broken = _find_unmatched_champion(connection)
    if broken is not None:
        raise tampering_error(broken)
    return connection.execute(select(func.count()).select_from(ledger)).scalar_one()


def _find_unmatched_champion(connection: Connection) -> int | None:
    """Compares the champions with the promotions: each has exactly one of the other."""
    standing = {tuple(row) for row in connection.execute(select(champions))}
    enthroning = select(ledger).where(ledger.c.kind.in_(("promotion", "rollback")))
    promotions = map(as_entry, connection.execute(enthroning))
    promoted = {
        (made.project, made.payload["champion"]["generation"], made.payload["champion"]["version"], made.id)
        for made in promotions
    }
    odd = [ledger_id for *_, ledger_id in standing ^ promoted]
    # SQLite takes what is no number, too; then 0 stands for an entry that nobody can name.
    return min((number for number in odd if isinstance(number, int)), default=0 if odd else None)
