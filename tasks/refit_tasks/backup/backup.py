"""A backup of all of Refit's own state while it is in use, and the way back.

The ledger is copied first: what it names, tables and models, was there before it was recorded, and what is recorded
later is not in the backup. Nothing may be removed meanwhile.
"""

from __future__ import annotations

import logging
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from refit.errors import StateError
from refit.results.maintenance import Manifest
from refit_infra.settings import Settings
from refit_tasks.backup.archive import drafted, insist_undamaged, read_manifest, write_manifest
from refit_tasks.backup.backup_tables import copy_tables, put_back
from refit_tasks.backup.contents import copy_home, fill_home, there
from refit_tasks.backup.ledger_copy import LEDGER, copy_ledger, fill_ledger, ledger_end
from refit_tasks.ledger.restore_marker import restoring, unfinished_restore
from refit_tasks.maintenance.lock import nothing_removed
from refit_tasks.storage.table_files import TableFiles
from refit_tasks.storage.table_names import tables_of

log = logging.getLogger(__name__)


def back_up(directory: Path, at: datetime) -> Manifest:
    """Copies the ledger, the tables, and what is embedded of MLflow and Prefect.

    Args:
        directory: Where, absolute; not there yet, or empty.
        at: The clock, UTC.

    Returns:
        What is in it.

    Raises:
        StateError: If there is something already, or some state cannot be read; no directory is left then.
    """
    with nothing_removed(), drafted(directory) as copies:
        ledger = copy_ledger(copies)
        log.info("copied %d entries of the ledger", ledger.entries)
        artifacts, tables = copy_home(copies), copy_tables(copies)
        manifest = Manifest(
            made_at=at,
            refit=version("refit"),
            ledger=ledger,
            tables=tables,
            artifacts=artifacts,
            files=copies.stamps,
        )
        write_manifest(copies, manifest)
    log.info("copied %d tables and %d files in all", len(tables), len(manifest.files))
    return manifest


def restore(directory: Path, *, dry_run: bool = False) -> Manifest:
    """Puts a backup back to where the settings want it. Killed at any moment and done again, it ends the same.

    Args:
        directory: The backup; absolute.
        dry_run: Whether to find out only if it could be restored.

    Returns:
        What was in it.

    Raises:
        StateError: If the backup is damaged or incomplete, or there is state already; nothing is changed then.
    """
    manifest = read_manifest(directory)
    _insist_same_services(directory, manifest)
    insist_undamaged(directory, manifest)
    if unfinished_restore() != directory:
        _insist_empty(manifest)
    if dry_run:
        return manifest
    with nothing_removed(), restoring(directory):
        fill_home(directory, manifest)
        for name in manifest.tables:
            put_back(name, directory, manifest)
        # Last: without it there is no champion, and whoever was killed has left nothing that looks whole.
        fill_ledger(directory / LEDGER, manifest.ledger)
    log.info("restored %d entries of the ledger and %d tables", manifest.ledger.entries, len(manifest.tables))
    return manifest


def _insist_same_services(directory: Path, manifest: Manifest) -> None:
    server = Settings().tracking_uri
    if manifest.artifacts and server:
        raise StateError(f"{directory} holds MLflow's own state, and MLFLOW_TRACKING_URI names a server: unset it")
    if not manifest.artifacts and not server:
        raise StateError(
            f"{directory} was made beside an MLflow server, which keeps the models: restore that one from its own "
            f"backup, and name it in MLFLOW_TRACKING_URI"
        )


def _insist_empty(manifest: Manifest) -> None:
    settings = Settings()
    taken = [f"{settings.home}/{name}" for name in there(settings)]
    taken += [
        f"{settings.tables}/{name}" for name in sorted({*manifest.tables, *tables_of()}) if TableFiles(name).there()
    ]
    if count := ledger_end().entries:
        taken.append(f"a ledger of {count:,} entries")
    if taken:
        raise StateError(
            f"there is state already ({taken[0]}): restore into an empty place, by REFIT_HOME, REFIT_STORE_URI and "
            f"REFIT_DATABASE_URL"
        )
