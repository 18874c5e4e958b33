"""The repair of files after a crash: table files that no version names, staging directories, database drafts."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from refit.results.maintenance import Finding
from refit_infra.settings import Settings
from refit_tasks.registry.mlflow_client import find_drafts
from refit_tasks.storage.delta import is_appended, open_table, tables_of
from refit_tasks.storage.predictions_table import FILE_RETENTION_HOURS
from refit_tasks.storage.staging import abandoned_areas, no_ingest_running

REMOTE_GRACE_HOURS = 1
"""On an object store others may be writing whose locks cannot be seen from here: a file is left alone for so long."""

_TORN = re.compile(r"\.parquet#\d+$|^_commit_.*\.json\.tmp$")
"""How the writer names a file that it has not finished; its own vacuum does not look at those."""


def repair_drafts(dry_run: bool) -> Iterator[Finding]:
    """Removes databases that were never finished.

    Args:
        dry_run: Whether to find only.

    Yields:
        What was found.
    """
    with find_drafts() as left:
        for file in left:
            if not dry_run:
                file.unlink()
            yield Finding("draft", str(file), "removed", f"{file} is a database whose creation was killed: removed")


def repair_staging(dry_run: bool) -> Iterator[Finding]:
    """Removes scratch space of dead processes.

    Args:
        dry_run: Whether to find only.

    Yields:
        What was found.
    """
    with abandoned_areas() as left:
        for directory in left:
            if not dry_run:
                shutil.rmtree(directory)
            sentence = f"{directory} is the staging directory of a killed process: removed"
            yield Finding("staging", str(directory), "removed", sentence)


def repair_tables(project: str | None, dry_run: bool) -> Iterator[Finding]:
    """Removes files that no version of a table names, while nobody here is writing to one.

    Args:
        project: Only this project's tables; all, if `None`.
        dry_run: Whether to find only.

    Yields:
        What was found.
    """
    with no_ingest_running() as quiet:
        for name in tables_of(project) if quiet else ():
            yield from _vacuum(name, dry_run)


def _vacuum(name: str, dry_run: bool) -> Iterator[Finding]:
    table = open_table(name)
    if table is None:
        yield from _remove_uncommitted(name, dry_run)
        return
    hours, every = REMOTE_GRACE_HOURS if Settings().store_uri else 0, list(range(table.version() + 1))
    vacuum = partial(table.vacuum, hours, enforce_retention_duration=False, full=True, keep_versions=every)
    if is_appended(name):  # a server may be writing, and nobody needs a former version
        vacuum = partial(table.vacuum, FILE_RETENTION_HOURS, enforce_retention_duration=False, full=True)
    loose = vacuum(dry_run=True)
    if loose and not dry_run:
        vacuum(dry_run=False)
    torn = _find_unfinished_files(name)
    for file in torn if not dry_run else ():
        file.unlink()
    for path in [*loose, *map(str, torn)]:
        sentence = f"{path} in the table {name} belongs to no version of it: removed"
        yield Finding("table", f"{name}/{path}", "removed", sentence)


def _remove_uncommitted(name: str, dry_run: bool) -> Iterator[Finding]:
    """Removes the files of a table whose first commit was killed."""
    settings = Settings()
    directory = Path(settings.tables) / name
    if settings.store_uri or not directory.is_dir() or (is_appended(name) and not _is_abandoned(directory)):
        return
    if not dry_run:
        shutil.rmtree(directory)
    yield Finding("table", name, "removed", f"{directory} is a table whose first commit was killed: removed")


def _find_unfinished_files(name: str) -> list[Path]:
    settings = Settings()
    if settings.store_uri:
        return []
    root = Path(settings.tables) / name
    found = sorted(file for file in root.rglob("*") if _TORN.search(file.name))
    return [file for file in found if _is_abandoned(file)] if is_appended(name) else found


def _is_abandoned(path: Path) -> bool:
    """Tells whether nobody can be writing there any more."""
    return path.stat().st_mtime < time.time() - FILE_RETENTION_HOURS * 3_600
