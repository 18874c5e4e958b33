"""Places that hold a person's data after an erasure, since Refit cannot or must not change them: each is named.

`refit backup` notes where it has written a backup, so that an erasure can name those that still have the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from refit.results.erasures import Erasure
from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors
from refit_tasks.json_lines import append_json_line
from refit_tasks.ledger.record import latest

BACKUPS = "backups.jsonl"
"""The file of `REFIT_HOME` with the backups that were made, one JSON object a line."""


@dataclass(frozen=True, slots=True)
class RemainingPlace:
    """A place that an erasure has not changed."""

    place: str
    """The kind: `backup`, `models` or `contract`."""
    name: str
    """The directory, the versions, or the ledger entry."""
    holds: str
    """What is there, and what to do about it, in a sentence."""


def record_backup(directory: Path, at: datetime) -> None:
    """Notes a backup.

    Args:
        directory: The directory of the backup.
        at: When it was made, UTC.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    append_json_line(_file(), {"directory": str(directory), "made_at": at.isoformat()})


def find_remaining(project: str, erasure: Erasure) -> list[RemainingPlace]:
    """Finds the places that still hold data after an erasure.

    Args:
        project: The project's name.
        erasure: What was erased.

    Returns:
        The backups that were made from this `REFIT_HOME`, and what may have memorized values.
    """
    return [*_find_backups(project), *_find_memorized(project, erasure)]


def _find_backups(project: str) -> Iterator[RemainingPlace]:
    with translate_store_errors(str(_file()), "REFIT_HOME"):
        lines = _file().read_text(encoding="utf-8").splitlines() if _file().exists() else []
    for made in map(json.loads, dict.fromkeys(lines)):
        directory, day = Path(made["directory"]), made["made_at"][:10]
        if not directory.exists():
            holds = f"the backup of {day} in {directory} is gone: if it was moved, it still holds the rows"
        elif (directory / "tables" / project).exists():
            holds = f"the backup of {day} in {directory} still holds the rows: delete it, or erase them after a restore"
        else:
            continue
        yield RemainingPlace("backup", str(directory), holds)


def _find_memorized(project: str, erasure: Erasure) -> Iterator[RemainingPlace]:
    if not erasure.unique:
        return
    columns = ", ".join(erasure.unique)
    if erasure.versions:
        versions = ", ".join(map(str, erasure.versions))
        holds = f"the models, profiles and cards of versions {versions} may hold values of {columns}: retrain and prune"
        yield RemainingPlace("models", versions, holds)
    if contract := latest(project, "contract"):
        holds = f"a contract in the ledger may name values of {columns}: put the column into pii"
        yield RemainingPlace("contract", str(contract.id), holds)


def _file() -> Path:
    return Settings().home / BACKUPS
