"""The contents of a backup beside the ledger: embedded databases, MLflow's artifacts, archives, erasures and tables.

Of each Delta table it holds the newest version, and of a project's own table all former versions that are kept.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from refit.errors import StateError
from refit.results.maintenance import Manifest
from refit_infra.settings import Settings
from refit_tasks.backup.archive import CHUNK_BYTES, BackupFiles, create_private_file, read_chunks
from refit_tasks.errors import translate_store_errors
from refit_tasks.maintenance.erase_table import list_paths
from refit_tasks.maintenance.moved_home import relocate_artifacts
from refit_tasks.storage.delta import is_appended, open_table, tables_of
from refit_tasks.storage.table_files import LOG, TableFiles

MLFLOW = "mlflow.db"
DATABASES = (MLFLOW, "mlflow-accounts.db", "prefect/prefect.db")
"""The embedded ones, from `REFIT_HOME`: tracking and registry, who may open MLflow's pages, and Prefect's server's."""
ARTIFACTS = "mlartifacts"
FOLDERS = ("archive", "erasures")
ACCESS = "access.jsonl"


def copy_home(copies: BackupFiles) -> str | None:
    """Copies what lies in `REFIT_HOME` beside the ledger and the tables.

    MLflow's database goes before the artifacts that it names, and both after the ledger that names them.

    Args:
        copies: The backup.

    Returns:
        Where the embedded MLflow keeps its artifacts, as a URI; `None` where a server keeps them.

    Raises:
        StateError: If something cannot be read.
    """
    settings = Settings()
    embedded = settings.mlflow_database is not None
    for name in DATABASES if embedded else DATABASES[2:]:
        if (settings.home / name).exists():
            _copy_database(settings.home / name, name, copies)
    for folder in (*FOLDERS, *((ARTIFACTS,) if embedded else ())):
        for name in _list_files(settings.home, folder):
            copies.write(name, read_chunks(settings.home / name))
    if (settings.home / ACCESS).exists():
        copies.write(ACCESS, read_chunks(settings.home / ACCESS))
    return settings.mlflow_artifacts if embedded else None


def list_existing(settings: Settings) -> list[str]:
    """Names what of this lies in a place already.

    Args:
        settings: The place.

    Returns:
        Paths from `REFIT_HOME`.
    """
    found = [name for name in DATABASES if (settings.home / name).exists()]
    return [*found, *(folder for folder in (ARTIFACTS, *FOLDERS) if any((settings.home / folder).glob("*")))]


def restore_home(directory: Path, manifest: Manifest) -> None:
    """Puts it back, and tells MLflow's database where the artifacts lie now.

    Args:
        directory: The backup.
        manifest: What it says of itself.
    """
    settings = Settings()
    names = [name for name in DATABASES if name in manifest.files]
    for name in [*(one for folder in (ARTIFACTS, *FOLDERS) for one in manifest.under(folder)), *names]:
        _write_file(settings.home / name, directory / name)
    if manifest.artifacts not in (None, settings.mlflow_artifacts) and MLFLOW in names:
        relocate_artifacts(settings.home / MLFLOW, str(manifest.artifacts), settings.mlflow_artifacts)
    if ACCESS in manifest.files:
        _prepend(settings.home / ACCESS, (directory / ACCESS).read_bytes())


def _list_files(home: Path, folder: str) -> Iterator[str]:
    for file in sorted((home / folder).rglob("*")):
        if file.is_file() and not file.name.endswith(".draft"):
            yield file.relative_to(home).as_posix()


def _copy_database(database: Path, name: str, copies: BackupFiles) -> None:
    """Copies a database as it is at one moment, while others write to it."""
    copy = copies.made(name)
    with (
        translate_store_errors(str(database), "REFIT_HOME"),
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        (said,) = target.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise StateError(f"{database} is damaged ({said}): put a backup in its place")
    copies.stamp(name)


def _write_file(file: Path, copy: Path) -> None:
    with translate_store_errors(str(file), "REFIT_HOME"), create_private_file(file).open("wb") as stream:
        for piece in read_chunks(copy):
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())


def _prepend(file: Path, former: bytes) -> None:
    """Puts the former access log before what was noted since; done twice, it is there once."""
    since = file.read_bytes() if file.exists() else b""
    if not since.startswith(former):
        with translate_store_errors(str(file), "REFIT_HOME"):
            create_private_file(file).write_bytes(former + since)


TABLES = "tables"
_COMMIT = re.compile(r"_delta_log/(\d{20})\.")
"""How the names of the log's files begin, by the version that they end with."""


def copy_tables(copies: BackupFiles) -> dict[str, int]:
    """Copies all tables, each as far as its newest version now; others may go on writing.

    First the log, then the files that it may name: those are there before any commit names them.

    Args:
        copies: The backup. The ledger is in it by now, so that every version that it names is there.

    Returns:
        From each table to that version.

    Raises:
        StateError: If files were removed meanwhile.
    """
    found = {name: open_table(name) for name in tables_of()}
    versions = {name: table.version() for name, table in found.items() if table}
    for name, version in versions.items():
        _copy_table(name, version, copies)
    return versions


def restore_table(name: str, directory: Path, manifest: Manifest) -> None:
    """Copies a table to where the settings want it: the log last, so that no table is seen without its rows.

    Args:
        name: The table's name.
        directory: The backup.
        manifest: What it says of itself.
    """
    files, folder = TableFiles(name), f"{TABLES}/{name}"
    files.create_directory()
    paths = [one.removeprefix(f"{folder}/") for one in manifest.under(folder)]
    for path in sorted(paths, key=lambda path: (path.startswith(LOG), path)):
        files.write_pieces(path, read_chunks(directory / folder / path))


def _copy_table(name: str, version: int, copies: BackupFiles) -> None:
    files = TableFiles(name)
    log = [one.path for one in files.list_files() if _is_commit(one.path, version)]
    _copy_files(files, name, log, copies)
    _copy_files(files, name, files.list_data_files(), copies)
    _require_complete(name, version, copies)


def _copy_files(files: TableFiles, name: str, paths: Iterable[str], copies: BackupFiles) -> None:
    for path in paths:
        try:
            stream = files.open(path)
        except FileNotFoundError:
            if is_appended(name):  # such a table puts small files together, and lets the former ones go
                continue
            raise StateError(f"{path} was removed from the table {name} meanwhile: make the backup again") from None
        copies.write(f"{TABLES}/{name}/{path}", _read_stream(stream, f"the table {name}"))


def _read_stream(stream: object, place: str) -> Iterator[bytes]:
    with translate_store_errors(place, "REFIT_STORE_URI"):
        while piece := stream.read(CHUNK_BYTES):  # type: ignore[attr-defined]  # pyarrow has no type hints
            yield piece


def _is_commit(path: str, version: int) -> bool:
    found = _COMMIT.match(path)
    return found is not None and int(found[1]) <= version


def _require_complete(name: str, version: int, copies: BackupFiles) -> None:
    """Reads the copy as a table: whatever happened to its files meanwhile, it must have what its version names."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        copy = DeltaTable(str(copies.root / TABLES / name), version=version)
        lost = {path for path in list_paths(copy) if f"{TABLES}/{name}/{path}" not in copies.stamps}
    except DeltaError as fault:
        raise StateError(f"the copy of the table {name} cannot be read ({fault}): make the backup again") from fault
    if lost:
        raise StateError(f"{min(lost)} was removed from the table {name} meanwhile: make the backup again")
