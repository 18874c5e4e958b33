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
from refit_tasks.ledger.heads import HEAD, LedgerHead, compare_heads, find_head, read_heads
from refit_tasks.ledger.record import verify_ledger
from refit_tasks.runs.audit_log import AuditEntry, list_audit_entries


def verify(against: str | None = None) -> Result:
    """Verifies the hash chain, the archive files, and that every champion matches its promotion or rollback.

    Args:
        against: Where heads of the ledger are kept that are compared: `mlflow` or a file; nowhere, if `None`.

    Returns:
        The number of entries, the newest one, and the number of compared heads.

    Raises:
        LedgerBroken: If an entry was changed after it was recorded, an archive file is missing or was changed, or the
            ledger does not have an entry that is known elsewhere.
    """
    count, head = verify_ledger(), find_head()
    newest = {"id": head.id, "hash": head.hash} if head else None
    lines = [f"the ledger is intact: {count:,} entries, no broken hash"]
    compared = None
    if against:
        compared = compare_heads(_find_heads(against))
        lines.append(f"  it has all {compared:,} entries that {against} knows")
    return Result({"entries": count, "intact": True, "head": newest, "compared": compared}, lines)


def _find_heads(against: str) -> list[LedgerHead]:
    if against != "mlflow":
        return read_heads(Path(against).expanduser())
    from refit_tasks.registry.ledger_heads import find_tagged_heads

    heads = find_tagged_heads()
    if not heads:
        raise StateError(f"no version in MLflow has the tag {HEAD}: retrain once, or name the file of an export")
    return heads


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
