"""Recorded erasures, and the rows that they have removed from a snapshot."""

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
    """The rows that erasures have removed from a snapshot."""

    rows: int
    """The number of erased rows."""
    left: str
    """The fingerprint of the remaining rows."""
    last: datetime
    """The time of the newest erasure, UTC."""
    entry: int
    """The id of the newest erasure's ledger entry."""


def find_erased_rows(ref: SnapshotRef, erasures: Sequence[Entry] | None = None) -> ErasedRows | None:
    """Finds the rows of a snapshot that were erased.

    Args:
        ref: The snapshot as recorded.
        erasures: All `erasure` entries of the project, newest first; read from the ledger by default.

    Returns:
        The number of erased rows and the last erasure; `None` if no row was erased.
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
        The erasure.
    """
    facts = {name: value for name, value in entry.payload.items() if name not in ("who", "why")}
    return from_payload(Erasure, facts)
