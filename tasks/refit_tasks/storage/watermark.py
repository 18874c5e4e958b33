"""Up to when a project's rows have been ingested: kept in the data's own commits, so the two cannot disagree."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from refit.data.split import microseconds, moment
from refit.project import Project
from refit.windows import BEGINNING, Window

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction

APPLICATION = "refit-ingest"


def watermark(table: DeltaTable) -> datetime | None:
    """Reads it.

    Args:
        table: The project's table.

    Returns:
        Just after the newest event time that was ingested, UTC; `None` before the first ingest.
    """
    version = table.transaction_version(APPLICATION)
    return None if version is None else moment(version)


def mark(table: DeltaTable | None, until: datetime) -> Transaction:
    """Makes the mark that a commit of data carries.

    Args:
        table: The table before the commit.
        until: Just after the newest event time of the batch, and not its load's end: who asks for rows up to 2062 has
            not seen those of tomorrow. A look back into the past does not move the watermark.

    Returns:
        What Delta calls an application transaction.
    """
    from deltalake import Transaction

    before = watermark(table) if table else None
    return Transaction(APPLICATION, microseconds(max(before or until, until)))


def load_window(definition: Project, table: DeltaTable | None, until: datetime) -> Window:
    """Says which event times an ingest asks the project for.

    Args:
        definition: The project, for its lookback.
        table: Its table; `None` before the first ingest.
        until: The end.

    Returns:
        Everything before the first ingest; later what is new, and the lookback for late and corrected rows.
    """
    before = watermark(table) if table else None
    start = min(BEGINNING, until) if before is None else min(before, until) - definition.lookback
    return Window(start, until)
