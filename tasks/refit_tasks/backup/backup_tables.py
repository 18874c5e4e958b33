"""Delta tables in a backup: the newest version, and of a project's own table all former ones that are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from refit.errors import StateError
from refit.results.maintenance import Manifest
from refit_tasks.backup.archive import PIECE, Copies, pieces_of
from refit_tasks.errors import naming_the_fix
from refit_tasks.maintenance.erase_table import paths_of
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.table_files import LOG, TableFiles
from refit_tasks.storage.table_names import APPENDED, tables_of

TABLES = "tables"
_COMMIT = re.compile(r"_delta_log/(\d{20})\.")
"""How the names of the log's files begin, by the version that they end with."""


def copy_tables(copies: Copies) -> dict[str, int]:
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
        _copy(name, version, copies)
    return versions


def put_back(name: str, directory: Path, manifest: Manifest) -> None:
    """Copies a table to where the settings want it: the log last, so that no table is seen without its rows.

    Args:
        name: The table's name.
        directory: The backup.
        manifest: What it says of itself.
    """
    files, folder = TableFiles(name), f"{TABLES}/{name}"
    files.make()
    paths = [one.removeprefix(f"{folder}/") for one in manifest.under(folder)]
    for path in sorted(paths, key=lambda path: (path.startswith(LOG), path)):
        files.put(path, pieces_of(directory / folder / path))


def _copy(name: str, version: int, copies: Copies) -> None:
    files = TableFiles(name)
    log = [one.path for one in files.there() if _is_commit(one.path, version)]
    _copy_files(files, name, log, copies)
    _copy_files(files, name, _data(files), copies)
    _insist_whole(name, version, copies)


def _copy_files(files: TableFiles, name: str, paths: Iterable[str], copies: Copies) -> None:
    for path in paths:
        try:
            stream = files.open(path)
        except FileNotFoundError:
            if name.endswith(APPENDED):  # such a table puts small files together, and lets the former ones go
                continue
            raise StateError(f"{path} was removed from the table {name} meanwhile: make the backup again") from None
        copies.write(f"{TABLES}/{name}/{path}", _pieces(stream, f"the table {name}"))


def _pieces(stream: object, place: str) -> Iterator[bytes]:
    with naming_the_fix(place, "REFIT_STORE_URI"):
        while piece := stream.read(PIECE):  # type: ignore[attr-defined]  # pyarrow has no type hints
            yield piece


def _is_commit(path: str, version: int) -> bool:
    found = _COMMIT.match(path)
    return found is not None and int(found[1]) <= version


def _data(files: TableFiles) -> list[str]:
    return [one.path for one in files.there() if one.path.endswith(".parquet") and not one.path.startswith(LOG)]


def _insist_whole(name: str, version: int, copies: Copies) -> None:
    """Reads the copy as a table: whatever happened to its files meanwhile, it must have what its version names."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        copy = DeltaTable(str(copies.root / TABLES / name), version=version)
        lost = {path for path in paths_of(copy) if f"{TABLES}/{name}/{path}" not in copies.stamps}
    except DeltaError as fault:
        raise StateError(f"the copy of the table {name} cannot be read ({fault}): make the backup again") from fault
    if lost:
        raise StateError(f"{min(lost)} was removed from the table {name} meanwhile: make the backup again")
