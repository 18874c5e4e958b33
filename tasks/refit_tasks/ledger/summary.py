"""Incremental ledger summaries: each update reads only the entries that are new."""

from __future__ import annotations

from sqlalchemy import Connection, select

from refit.results.ledger_summary import LedgerSummary
from refit_tasks.ledger.database import ledger, reading
from refit_tasks.ledger.transactions import as_entry

BATCH = 200
"""The number of entries in memory at a time; a decision may take a hundred kilobytes."""


class LedgerSummaries:
    """The summary of each project's ledger entries."""

    def __init__(self) -> None:
        self.projects: dict[str, LedgerSummary] = {}
        self.newest = (0, "")
        """The id and the hash of the newest entry that is included."""

    def update(self) -> None:
        """Adds the entries that were recorded since the last update.

        Raises:
            StateError: If the ledger cannot be read; the summaries stay as they were.
        """
        with reading() as connection:
            if not self._continues(connection):
                # The ledger was replaced, as by a restore.
                self.projects, self.newest = {}, (0, "")
            self._add(connection)

    def _continues(self, connection: Connection) -> bool:
        number, digest = self.newest
        known = connection.execute(select(ledger.c.hash).where(ledger.c.id == number)).scalar()
        return number == 0 or known == digest

    def _add(self, connection: Connection) -> None:
        query = select(ledger).where(ledger.c.id > self.newest[0]).order_by(ledger.c.id)
        for row in connection.execute(query.execution_options(yield_per=BATCH)):
            entry = as_entry(row)
            before = self.projects.get(entry.project, LedgerSummary())
            self.projects[entry.project] = before.add(entry)
            self.newest = (entry.id, entry.hash)
