"""`refit ledger verify`, `refit ledger export` and `refit ledger roles`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from refit.errors import StateError
from refit_deployments.output import Answer
from refit_tasks.ledger.export import export_ledger, export_lines
from refit_tasks.ledger.ledger_roles import ROLES
from refit_tasks.ledger.record import verify_ledger


def verify() -> Answer:
    """Follows the hash chain, and holds every champion against its promotion or rollback.

    Returns:
        How many entries there are.

    Raises:
        LedgerBroken: If an entry is not as it was recorded.
    """
    count = verify_ledger()
    return Answer({"entries": count, "intact": True}, [f"the ledger is intact: {count:,} entries, each follows"])


def roles() -> Answer:
    """Gives the SQL that makes the roles of a ledger on PostgreSQL.

    Returns:
        It; no database is asked.
    """
    return Answer({"sql": ROLES}, [ROLES.rstrip()])


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


def print_ledger(project: str | None) -> None:
    """Writes all entries as JSON lines to standard output.

    Args:
        project: Only this project's entries; all, if `None`.

    Raises:
        StateError: If whoever reads them goes away before the end.
    """
    try:
        for line in export_lines(project):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left must not fail once more
        raise StateError(
            f"the ledger was not written to its end ({error.strerror}): give a file with `--out`"
        ) from error
