"""What else is in a backup of `REFIT_HOME`: the embedded databases, MLflow's artifacts, archives and erasures."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from refit.errors import StateError
from refit.results.maintenance import Manifest
from refit_infra.settings import Settings
from refit_tasks.backup.archive import Copies, pieces_of, private_file
from refit_tasks.errors import naming_the_fix

MLFLOW = "mlflow.db"
DATABASES = (MLFLOW, "mlflow-accounts.db", "prefect/prefect.db")
"""The embedded ones, from `REFIT_HOME`: tracking and registry, who may open MLflow's pages, and Prefect's server's."""
ARTIFACTS = "mlartifacts"
FOLDERS = ("archive", "erasures")
ACCESS = "access.jsonl"
_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Where MLflow's database says where artifacts lie; all of them absolute."""


def copy_home(copies: Copies) -> str | None:
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
        for name in _files(settings.home, folder):
            copies.write(name, pieces_of(settings.home / name))
    if (settings.home / ACCESS).exists():
        copies.write(ACCESS, pieces_of(settings.home / ACCESS))
    return settings.mlflow_artifacts if embedded else None


def there(settings: Settings) -> list[str]:
    """Names what of this lies in a place already.

    Args:
        settings: The place.

    Returns:
        Paths from `REFIT_HOME`.
    """
    found = [name for name in DATABASES if (settings.home / name).exists()]
    return [*found, *(folder for folder in (ARTIFACTS, *FOLDERS) if any((settings.home / folder).glob("*")))]


def fill_home(directory: Path, manifest: Manifest) -> None:
    """Puts it back, and tells MLflow's database where the artifacts lie now.

    Args:
        directory: The backup.
        manifest: What it says of itself.
    """
    settings = Settings()
    names = [name for name in DATABASES if name in manifest.files]
    for name in [*(one for folder in (ARTIFACTS, *FOLDERS) for one in manifest.under(folder)), *names]:
        _put(settings.home / name, directory / name)
    if manifest.artifacts not in (None, settings.mlflow_artifacts) and MLFLOW in names:
        relocate(settings.home / MLFLOW, str(manifest.artifacts), settings.mlflow_artifacts)
    if ACCESS in manifest.files:
        _put_before(settings.home / ACCESS, (directory / ACCESS).read_bytes())


def relocate(database: Path, former: str, now: str) -> None:
    """Tells MLflow's database that its artifacts lie somewhere else now: it knows them by absolute addresses.

    Args:
        database: The embedded one.
        former: Where they lay, as a URI.
        now: Where they lie.

    Raises:
        StateError: If it cannot be written.
    """
    with naming_the_fix(str(database), "REFIT_HOME"), closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in _PLACES.items():
            for column in columns:
                # The names are ours; a place begins with the former one or is left alone.
                moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608
                connection.execute(moved, (now, len(former) + 1, len(former) + 1, f"{former}/"))


def _files(home: Path, folder: str) -> Iterator[str]:
    for file in sorted((home / folder).rglob("*")):
        if file.is_file() and not file.name.endswith(".draft"):
            yield file.relative_to(home).as_posix()


def _copy_database(database: Path, name: str, copies: Copies) -> None:
    """Copies a database as it is at one moment, while others write to it."""
    copy = copies.made(name)
    with (
        naming_the_fix(str(database), "REFIT_HOME"),
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        (said,) = target.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise StateError(f"{database} is damaged ({said}): put a backup in its place")
    copies.stamp(name)


def _put(file: Path, copy: Path) -> None:
    with naming_the_fix(str(file), "REFIT_HOME"), private_file(file).open("wb") as stream:
        for piece in pieces_of(copy):
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())


def _put_before(file: Path, former: bytes) -> None:
    """Puts the former access log before what was noted since; done twice, it is there once."""
    since = file.read_bytes() if file.exists() else b""
    if not since.startswith(former):
        with naming_the_fix(str(file), "REFIT_HOME"):
            private_file(file).write_bytes(former + since)
