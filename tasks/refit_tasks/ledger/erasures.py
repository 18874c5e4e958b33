"""The erasures on record, and what they have taken from the rows of a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from refit.records.ledger import Entry, from_payload
from refit.records.references import SnapshotRef
from refit.results.erasures import Erasure
from refit_tasks.ledger.record import ALL_ENTRIES, entries


@dataclass(frozen=True, slots=True)
class ErasedRows:
    """What erasures have taken from rows on record."""

    rows: int
    left: str
    """The fingerprint of what must be left."""
    last: datetime
    entry: int
    """The newest entry that says so."""


def find_erased_rows(ref: SnapshotRef, erasures: Sequence[Entry] | None = None) -> ErasedRows | None:
    """Finds out which rows on record are erased.

    Args:
        ref: The rows as they were recorded.
        erasures: All entries of erasures of the project, the newest first; read from the ledger if left out.

    Returns:
        How many, and since when; `None` where all are there.
    """
    found = [
        (entry, shrunk)
        for entry in reversed(entries(ref.project, "erasure", newest=ALL_ENTRIES) if erasures is None else erasures)
        for shrunk in erasure_of(entry).snapshots
        if shrunk.rows == ref
    ]
    if not found:
        return None
    newest, last = found[-1]
    return ErasedRows(sum(shrunk.erased for _, shrunk in found), last.left, newest.at, newest.id)


def erasure_of(entry: Entry) -> Erasure:
    """Reads an entry of the kind `erasure`.

    Args:
        entry: The entry.

    Returns:
        What was erased.
    """
    facts = {name: value for name, value in entry.payload.items() if name not in ("who", "why")}
    return from_payload(Erasure, facts)
