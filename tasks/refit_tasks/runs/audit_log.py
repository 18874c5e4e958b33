"""Who did what, and when: what people have done by command is noted in a file, unless the ledger says it already.

The file is `REFIT_HOME/access.jsonl`, for its owner's eyes only, one object a line. No argument of a command is in it
but the project's name: a key, a reason or a path may be what identifies somebody.

Who is at the keyboard, and who asked for a run.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from refit.errors import StateError
from refit.records.ledger import Entry
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.record import ALL_ENTRIES, entries


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody has done."""

    at: str
    """When it ended, UTC, in ISO 8601."""
    who: str
    host: str
    """The machine; empty where the ledger does not say."""
    action: str
    """The command, or the kind of the ledger's entry."""
    project: str
    """Empty where it is about all of them."""
    outcome: str
    """`done`, or the kind of the fault that it ended with."""
    entry: int | None = None
    """The ledger's entry that says more."""


@contextmanager
def audited(action: str, project: str | None, *, recorded: bool = False) -> Iterator[None]:
    """Notes that somebody does something.

    Args:
        action: What, as the command is called.
        project: The project; all, if `None`.
        recorded: Whether the ledger names the person where it succeeds; then only a failure is noted.

    Yields:
        Nothing.

    Raises:
        StateError: If the file cannot be written.
    """
    try:
        yield
    except Exception as fault:
        if not isinstance(fault, (StateError, OSError)):  # else there is nowhere to note it
            _append(action, project, type(fault).__name__)
        raise
    if not recorded:
        _append(action, project, "done")


def list_audit_entries(project: str | None = None, since: datetime | None = None) -> list[AuditEntry]:
    """Lists what people have done, by the file and by the ledger.

    Args:
        project: Only what is about this project; all, if `None`.
        since: Only from then on.

    Returns:
        The deeds, the oldest first.

    Raises:
        StateError: If the file or the ledger cannot be read.
    """
    made = [*_read_file(), *(deed for entry in entries(project, newest=ALL_ENTRIES) if (deed := _convert_entry(entry)))]
    first = since.isoformat() if since else ""
    mine = [one for one in made if project in (None, one.project) and one.at >= first]
    return sorted(mine, key=lambda one: one.at)


def _convert_entry(entry: Entry) -> AuditEntry | None:
    """Reads who is behind an entry; nothing where no person is."""
    payload = entry.payload
    asked = (payload.get("evidence") or {}).get("request") or {}
    who = {
        "approval": payload.get("who"),
        "rollback": None if payload.get("decision") else payload.get("by"),
        "erasure": payload.get("who"),
        "alias": "whoever moved MLflow's alias",
        "decision": (asked.get("who") or "a person") if asked.get("by") == "manual" else None,
    }.get(entry.kind)
    if not who:
        return None
    answer = "approve" if payload.get("approved") else "refuse"
    command = {"approval": answer, "erasure": "forget", "decision": "retrain"}.get(entry.kind, entry.kind)
    return AuditEntry(entry.at.astimezone(UTC).isoformat(), who, "", command, entry.project, "done", entry.id)


def _read_file() -> Iterator[AuditEntry]:
    file = _file()
    if file.exists():
        with translate_store_errors(str(file), "REFIT_HOME"):
            for line in file.read_text(encoding="utf-8").splitlines():
                yield AuditEntry(**json.loads(line))


def _append(action: str, project: str | None, outcome: str) -> None:
    deed = AuditEntry(
        datetime.now(UTC).isoformat(), current_user(), socket.gethostname(), action, (project or "")[:63], outcome
    )
    line = json.dumps({name: value for name, value in asdict(deed).items() if name != "entry"}) + "\n"
    with translate_store_errors(str(_file()), "REFIT_HOME"):
        open_home(Settings())
        descriptor = os.open(_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _file() -> Path:
    return Settings().home / "access.jsonl"


REQUESTER_TAG = "asked by "
"""What stands before a name in the tag of a run that somebody has started for a worker to do."""


def current_user() -> str:
    """Names the person at the command line, for the record.

    Returns:
        The login name; the user's number where a container gives it no name.
    """
    try:
        return getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def find_run_requester() -> str:
    """Names the person who asked for the flow run that this is called in.

    Returns:
        The login name of whoever runs it here, or of whoever has started its deployment from a command line; nothing
        where Prefect's own pages, a schedule or an automation did.
    """
    from prefect.runtime import deployment, flow_run

    tagged = [tag.removeprefix(REQUESTER_TAG) for tag in flow_run.tags or () if tag.startswith(REQUESTER_TAG)]
    return tagged[0] if tagged else "" if deployment.id else current_user()
