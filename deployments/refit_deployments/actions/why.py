"""`refit why`: one ledger entry in sentences."""

from __future__ import annotations

from typing import Any

from refit.errors import StateError
from refit.records.ledger import Entry
from refit_deployments.output import Result
from refit_tasks.ledger.record import entry
from refit_tasks.reporting.entry_story import describe_entry


def explain_entry(identifier: int) -> Result:
    """Explains a ledger entry.

    Args:
        identifier: The entry's number.

    Returns:
        The entry in sentences, and as recorded.

    Raises:
        StateError: If the ledger has no such entry.
    """
    found = entry(identifier)
    if found is None:
        raise StateError(f"the ledger has no entry {identifier}: `refit status` shows the newest entries")
    return Result(_entry_facts(found), describe_entry(found))


def _entry_facts(found: Entry) -> dict[str, Any]:
    return {
        "id": found.id,
        "project": found.project,
        "kind": found.kind,
        "at": found.at.isoformat(),
        "payload": found.payload,
        "hash": found.hash,
    }
