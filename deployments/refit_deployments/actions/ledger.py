"""`refit ledger verify`, `refit ledger export` and `refit ledger roles`; `refit log`: the audit log."""

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
from refit_tasks.runs.audit_log import AuditEntry, list_audit_entries


def verify() -> Result:
    """Verifies the hash chain, and that every champion matches its promotion or rollback.

    Returns:
        The number of entries.

    Raises:
        LedgerBroken: If an entry was changed after it was recorded.
    """
    count = verify_ledger()
    return Result({"entries": count, "intact": True}, [f"the ledger is intact: {count:,} entries, no broken hash"])


def roles() -> Result:
    """Gives the SQL that creates the roles of a ledger on PostgreSQL.

    Returns:
        The SQL; the database is not accessed.
    """
    return Result({"sql": ROLES}, [ROLES.rstrip()])


def export(project: str | None, out: Path) -> Result:
    """Writes all entries to a file as JSON lines.

    Args:
        project: Only this project's entries; all, if `None`.
        out: The file.

    Returns:
        The file and the number of entries.
    """
    file, count = export_ledger(project, out)
    return Result({"file": str(file), "entries": count}, [f"{file} ({count:,} entries)"])


def print_ledger(project: str | None) -> None:
    """Writes all entries to standard output as JSON lines.

    Args:
        project: Only this project's entries; all, if `None`.

    Raises:
        StateError: If the reader closes the pipe before the end.
    """
    try:
        for line in export_lines(project):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the buffered rest must not fail once more
        raise StateError(
            f"the export to standard output is not complete ({error.strerror}): name a file with --out"
        ) from error


def show_audit_log(project: str | None, since: datetime | None) -> Result:
    """Lists the commands that users ran.

    Args:
        project: Only commands about this project; all, if `None`.
        since: The earliest time.

    Returns:
        The commands, the oldest first.
    """
    found = list_audit_entries(project, since)
    facts = {"project": project, "deeds": [asdict(one) for one in found]}
    return Result(facts, [_describe(one) for one in found] or ["the audit log has no entries"])


def _describe(found: AuditEntry) -> str:
    who = f"{found.who}@{found.host}" if found.host else found.who
    more = f"  refit why {found.entry}" if found.entry else "" if found.outcome == "done" else f"  {found.outcome}"
    return f"{found.at[:19].replace('T', ' ')}  {who:<24}  {found.action} {found.project}".rstrip() + more
