"""`refit ledger verify`, `refit ledger export` and `refit ledger roles`.

`refit log`: who did what, and when.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from refit.errors import StateError
from refit_deployments.output import Result
from refit_tasks.ledger.database import ROLES
from refit_tasks.ledger.export import export_ledger, export_lines
from refit_tasks.ledger.record import verify_ledger
from refit_tasks.runs.audit_log import AuditEntry, deeds


def verify() -> Result:
    """Follows the hash chain, and holds every champion against its promotion or rollback.

    Returns:
        How many entries there are.

    Raises:
        LedgerBroken: If an entry is not as it was recorded.
    """
    count = verify_ledger()
    return Result({"entries": count, "intact": True}, [f"the ledger is intact: {count:,} entries, each follows"])


def roles() -> Result:
    """Gives the SQL that makes the roles of a ledger on PostgreSQL.

    Returns:
        It; no database is asked.
    """
    return Result({"sql": ROLES}, [ROLES.rstrip()])


def export(project: str | None, out: Path) -> Result:
    """Writes all entries as JSON lines.

    Args:
        project: Only this project's entries; all, if `None`.
        out: The file.

    Returns:
        How many entries were written where.
    """
    file, count = export_ledger(project, out)
    return Result({"file": str(file), "entries": count}, [f"{file} ({count:,} entries)"])


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


def show_audit_log(project: str | None, since: datetime | None) -> Result:
    """Lists what people have done.

    Args:
        project: Only what is about this project; all, if `None`.
        since: Only from then on.

    Returns:
        The deeds, the oldest first.
    """
    found = deeds(project, since)
    facts = {"project": project, "deeds": [asdict(deed) for deed in found]}
    return Result(facts, [_line(deed) for deed in found] or ["nobody has done anything that was to be noted"])


def _line(deed: AuditEntry) -> str:
    who = f"{deed.who}@{deed.host}" if deed.host else deed.who
    more = f"  refit why {deed.entry}" if deed.entry else "" if deed.outcome == "done" else f"  {deed.outcome}"
    return f"{deed.at[:19]}  {who:<24}  {deed.action} {deed.project}".rstrip() + more
