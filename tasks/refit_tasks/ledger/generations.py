"""Who serves, who did, and who follows whom: the ledger's generations, within transactions and outside of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from refit.records.ledger import Entry, EntryKind, as_payload, from_payload
from refit.records.references import Champion
from refit.windows import as_utc
from refit_tasks.ledger.database import champions, ledger, reading
from refit_tasks.ledger.transactions import append, as_entry


def current_champion(project: str) -> Champion | None:
    """Reads the version that serves from the ledger alone.

    Args:
        project: The project's name.

    Returns:
        The champion, or `None` while there is none.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        return newest_champion(connection, project)


def newest_champion(connection: Connection, project: str) -> Champion | None:
    """Reads a project's newest generation within a transaction that does more.

    Args:
        connection: From `refit_tasks.ledger.database`.
        project: The project's name.

    Returns:
        The champion, or `None` while there is none.
    """
    row = connection.execute(_select_newest_first(project).limit(1)).first()
    return champion_of(as_entry(row)) if row else None


def champion_at(project: str, moment: datetime) -> Champion | None:
    """Reads the version that served at a moment.

    Args:
        project: The project's name.
        moment: The moment, with a zone.

    Returns:
        The champion of the newest generation that began by then; `None` before the first.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        return next((made for entry, made in generations_of(connection, project) if entry.at <= moment), None)


def generations_of(connection: Connection, project: str) -> Iterator[tuple[Entry, Champion]]:
    """Reads all generations of a project.

    Args:
        connection: From `refit_tasks.ledger.database`.
        project: The project's name.

    Yields:
        The entry that began a generation, a promotion or a rollback, and its champion; the newest first.
    """
    for row in connection.execute(_select_newest_first(project)):
        entry = as_entry(row)
        yield entry, champion_of(entry)


def champion_of(entry: Entry) -> Champion:
    """Reads who serves since an entry.

    Args:
        entry: Of the kind `promotion` or `rollback`.

    Returns:
        The champion.
    """
    return from_payload(Champion, entry.payload["champion"])


def insert_generation(
    connection: Connection,
    kind: EntryKind,
    champion: Champion,
    former: Champion | None,
    facts: dict[str, Any],
    once: str | None,
) -> Entry:
    """Begins a generation: one ledger entry and one row, in a transaction that somebody else commits.

    Args:
        connection: From `refit_tasks.ledger.database.writing`.
        kind: `promotion` or `rollback`.
        champion: Who serves from now on.
        former: Who served before, if anybody.
        facts: What else the entry records, as JSON values.
        once: Names what must not be recorded twice.

    Returns:
        The entry.
    """
    project = champion.model.project
    payload = as_payload({"champion": champion, "former": former, **facts})
    entry = append(connection, project, kind, payload, champion.since, once=once)
    row = {"project": project, "generation": champion.generation, "version": champion.version, "ledger_id": entry.id}
    connection.execute(insert(champions).values(row))
    return entry


def generation_start(at: datetime, former: Champion | None) -> datetime:
    """Says when a champion begins: never before the one whose place it takes, though clocks differ and runs take time.

    Args:
        at: When whoever promotes it says that this happens, with a zone.
        former: The one before, if any.

    Returns:
        The moment, UTC; so at each moment exactly one generation serves.
    """
    return max(as_utc(at), former.since) if former else as_utc(at)


def generation_of(champion: Champion | None) -> int:
    """Counts the champions up to this one.

    Args:
        champion: The champion, or `None` before the first.

    Returns:
        Its generation; 0 before the first.
    """
    return champion.generation if champion else 0


def _select_newest_first(project: str) -> Any:  # noqa: ANN401 - a selection of whole rows
    mine = select(ledger).join(champions).where(champions.c.project == project)
    return mine.order_by(champions.c.generation.desc())
