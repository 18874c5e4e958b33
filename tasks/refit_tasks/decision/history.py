"""The history of decisions and retrains that the next decision of a project takes into account."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from refit.monitoring.decide import build_history
from refit.monitoring.history import History
from refit_tasks.ledger.database import ledger, reading
from refit_tasks.ledger.transactions import as_entry


def read_history(project: str, at: datetime) -> History:
    """Reads the history of a project from the ledger.

    Args:
        project: The project's name.
        at: The current time, UTC.

    Returns:
        The history.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        return query_history(connection, project, at)


def query_history(connection: Connection, project: str, at: datetime) -> History:
    """Queries the newest decision and the retrains that ended after it: few entries, however long the ledger is.

    Args:
        connection: A transaction of the ledger's database.
        project: The project's name.
        at: The current time, UTC.

    Returns:
        The history.
    """
    mine = select(ledger).where(ledger.c.project == project)
    newest = connection.execute(mine.where(ledger.c.kind == "decision").order_by(ledger.c.id.desc()).limit(1)).first()
    if newest is None:
        return History(now=at)
    ended = mine.where(ledger.c.kind == "retrain", ledger.c.id > newest.id).order_by(ledger.c.id)
    return build_history(map(as_entry, [newest, *connection.execute(ended)]), at)
