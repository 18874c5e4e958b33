"""Champion generations in the ledger: the current one, past ones, and the insertion of the next."""

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
    """Reads a project's champion from the ledger, without asking MLflow.

    Args:
        project: The project's name.

    Returns:
        The champion, or `None` if there is none yet.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        return newest_champion(connection, project)


def newest_champion(connection: Connection, project: str) -> Champion | None:
    """Reads a project's champion within an open transaction.

    Args:
        connection: A connection from `refit_tasks.ledger.database`.
        project: The project's name.

    Returns:
        The champion, or `None` if there is none yet.
    """
    row = connection.execute(_select_newest_first(project).limit(1)).first()
    return champion_of(as_entry(row)) if row else None


def champion_at(project: str, moment: datetime) -> Champion | None:
    """Reads the champion that served at a given time.

    Args:
        project: The project's name.
        moment: The time, with a time zone.

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
    """Reads the champion of an entry.

    Args:
        entry: An entry of the kind `promotion` or `rollback`.

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
    """Inserts a generation and its ledger entry within a transaction that the caller commits.

    Args:
        connection: A connection from `refit_tasks.ledger.database.writing`.
        kind: `promotion` or `rollback`.
        champion: The new champion.
        former: The former champion, if any.
        facts: The other fields of the entry, as JSON values.
        once: The name under which the entry is recorded once.

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
    """Chooses the start of a generation, never before its predecessor's, even if the clocks of machines differ.

    Args:
        at: The time of the promotion by the caller's clock, with a time zone.
        former: The former champion, if any.

    Returns:
        The start, UTC; at any time exactly one generation serves.
    """
    return max(as_utc(at), former.since) if former else as_utc(at)


def generation_of(champion: Champion | None) -> int:
    """Reads the generation of a champion.

    Args:
        champion: The champion, or `None` before the first one.

    Returns:
        Its generation; 0 before the first.
    """
    return champion.generation if champion else 0


def _select_newest_first(project: str) -> Any:  # noqa: ANN401 - a selection of whole rows
    mine = select(ledger).join(champions).where(champions.c.project == project)
    return mine.order_by(champions.c.generation.desc())
