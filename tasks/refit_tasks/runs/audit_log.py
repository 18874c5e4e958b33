"""The audit log of commands that people ran.

Commands that the ledger does not record with a name are appended to `REFIT_HOME/access.jsonl`, one JSON object a line,
readable by its owner only. Of a command's arguments it holds the project's name alone, since a key, a reason or a path
may identify a person.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from refit.errors import StateError
from refit.records.ledger import Entry
from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors
from refit_tasks.json_lines import append_json_line
from refit_tasks.ledger.record import ALL_ENTRIES, entries
from refit_tasks.runs.identity import current_user


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A command that a person ran."""

    at: str
    """When the command ended, UTC, in ISO 8601."""
    who: str
    host: str
    """The machine's name; empty for entries of the ledger."""
    action: str
    """The command, or the kind of the ledger entry."""
    project: str
    """The project's name; empty for all projects."""
    outcome: str
    """`done`, or the type of the error."""
    entry: int | None = None
    """The ledger entry, if the ledger records the command."""


@contextmanager
def audited(action: str, project: str | None, *, recorded: bool = False) -> Iterator[None]:
    """Appends the command that runs in the block to the audit log.

    Args:
        action: The command's name.
        project: The project's name; `None` for all projects.
        recorded: Whether the ledger records a success with the person's name; then only a failure is logged.

    Yields:
        Nothing.

    Raises:
        StateError: If the file cannot be written.
    """
    try:
        yield
    except Exception as fault:
        if not isinstance(fault, (StateError, OSError)):  # else the log cannot be written either
            _append(action, project, type(fault).__name__)
        raise
    if not recorded:
        _append(action, project, "done")


def list_audit_entries(project: str | None = None, since: datetime | None = None) -> list[AuditEntry]:
    """Lists the commands that people ran, from the audit log and the ledger.

    Args:
        project: The project's name; `None` for all projects.
        since: The earliest time, UTC; `None` for all.

    Returns:
        The entries, oldest first.

    Raises:
        StateError: If the file or the ledger cannot be read.
    """
    made = [
        *_read_file(),
        *(converted for entry in entries(project, newest=ALL_ENTRIES) if (converted := _convert_entry(entry))),
    ]
    first = since.isoformat() if since else ""
    mine = [one for one in made if project in (None, one.project) and one.at >= first]
    return sorted(mine, key=lambda one: one.at)


def _convert_entry(entry: Entry) -> AuditEntry | None:
    """Converts a ledger entry that a person caused; `None` for all others."""
    payload = entry.payload
    asked = (payload.get("evidence") or {}).get("request") or {}
    who = {
        "approval": payload.get("who"),
        "rollback": None if payload.get("decision") else payload.get("by"),
        "erasure": payload.get("who"),
        "acceptance": payload.get("who"),
        "schema": None if payload.get("who") == "refit ingest" else payload.get("who"),
        "alias": "a person (MLflow alias)",
        "decision": (asked.get("who") or "a person") if asked.get("by") == "manual" else None,
    }.get(entry.kind)
    if not who:
        return None
    answer = "approve" if payload.get("approved") else "refuse"
    commands = {
        "approval": answer,
        "erasure": "forget",
        "decision": "retrain",
        "acceptance": "contract accept",
        "schema": "schema set",
    }
    command = commands.get(entry.kind, entry.kind)
    return AuditEntry(entry.at.astimezone(UTC).isoformat(), who, "", command, entry.project, "done", entry.id)


def _read_file() -> Iterator[AuditEntry]:
    file = _file()
    if file.exists():
        with translate_store_errors(str(file), "REFIT_HOME"):
            for line in file.read_text(encoding="utf-8").splitlines():
                yield AuditEntry(**json.loads(line))


def _append(action: str, project: str | None, outcome: str) -> None:
    entry = AuditEntry(
        datetime.now(UTC).isoformat(), current_user(), socket.gethostname(), action, (project or "")[:63], outcome
    )
    append_json_line(_file(), {name: value for name, value in asdict(entry).items() if name != "entry"})


def _file() -> Path:
    return Settings().home / "access.jsonl"
