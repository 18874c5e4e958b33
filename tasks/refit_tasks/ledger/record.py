"""The append-only, hash-chained ledger: appending an entry, finding entries, and verifying the whole chain."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from refit.records.ledger import Entry, EntryKind, find_broken_entry
from refit_tasks.ledger.archives import read_archives
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
"""The `newest` of a query without a limit, more than any ledger holds."""


def record(project: str, kind: EntryKind, payload: dict[str, Any], at: datetime, once: str | None = None) -> Entry:
    """Appends an entry in a transaction of its own.

    Args:
        project: The project's name.
        kind: What the entry records.
        payload: The facts, as JSON values.
        at: The time of the event, UTC.
        once: The name under which the entry is recorded once: if the project has an entry of this kind and name, it is
            returned, and nothing is appended.

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
        The entries by id; unknown ids are left out.
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
    """Lists the projects that have entries.

    Returns:
        The names of the projects.
    """
    with reading() as connection:
        return set(connection.execute(select(ledger.c.project).distinct()).scalars())


def verify_ledger() -> int:
    """Verifies the hash chain of the whole ledger, its archive files, and each champion against its promotion.

    Returns:
        The number of entries in the database.

    Raises:
        LedgerBroken: If an entry was changed, inserted or removed, a generation does not match its promotion or
            rollback, or an archive file is missing or was changed.
    """
    with reading() as connection:
        return verify_within(connection)


def verify_within(connection: Connection) -> int:
    """Verifies the ledger within an open transaction.

    Args:
        connection: A connection from `refit_tasks.ledger.database`.

    Returns:
        The number of entries.

    Raises:
        LedgerBroken: As in `verify_ledger`.
    """
    rows = connection.execute(select(ledger).order_by(ledger.c.id).execution_options(yield_per=1_000))
    broken = find_broken_entry(map(as_unaltered_entry, rows), chain_start(connection))
    if broken is None:
        broken = _find_unmatched_champion(connection)
    if broken is not None:
        raise tampering_error(broken)
    for _ in read_archives(connection):
        pass
    return connection.execute(select(func.count()).select_from(ledger)).scalar_one()


def _find_unmatched_champion(connection: Connection) -> int | None:
    """Finds the first generation without its promotion or rollback, or the reverse."""
    generations = {tuple(row) for row in connection.execute(select(champions))}
    promotion_rows = select(ledger).where(ledger.c.kind.in_(("promotion", "rollback")))
    promotions = map(as_entry, connection.execute(promotion_rows))
    promoted = {
        (made.project, made.payload["champion"]["generation"], made.payload["champion"]["version"], made.id)
        for made in promotions
    }
    unmatched = [ledger_id for *_, ledger_id in generations ^ promoted]
    # SQLite also stores values that are not numbers; 0 stands for such an id.
    return min((number for number in unmatched if isinstance(number, int)), default=0 if unmatched else None)
