"""`refit ledger verify` and `refit ledger export`."""

from __future__ import annotations

from pathlib import Path

from deployments.output import Answer
from tasks.ledger import verify_ledger
from tasks.ledger_export import export_ledger


def verify() -> Answer:
    """Follows the hash chain, and holds every champion against its promotion or rollback.

    Returns:
        How many entries there are.

    Raises:
        LedgerBroken: If an entry is not as it was recorded.
    """
    count = verify_ledger()
    return Answer({"entries": count, "intact": True}, [f"the ledger is intact: {count:,} entries, each follows"])


def export(project: str | None, out: Path) -> Answer:
    """Writes all entries as JSON lines.

    Args:
        project: Only this project's entries; all, if `None`.
        out: The file.

    Returns:
        How many entries were written where.
    """
    file, count = export_ledger(project, out)
    return Answer({"file": str(file), "entries": count}, [f"{file} ({count:,} entries)"])
