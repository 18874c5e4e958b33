"""Temporary on-disk storage for one ingest: removed when the ingest ends, or by the next one after a crash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from filelock import FileLock

from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors
from refit_tasks.locks import is_held, try_lock
from refit_tasks.scratch import FOLDER, abandoned_scratch


class SpilledTables:
    """A sequence of tables on disk, of which only one at a time is in memory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._count = 0
        self.rows = 0

    def add(self, piece: pa.Table) -> None:
        """Writes one more table.

        Args:
            piece: The table; tables may differ in their columns.
        """
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            translate_store_errors(str(self._directory), "REFIT_HOME"),
            pa.ipc.new_stream(self._file(self._count), piece.schema, options=options) as stream,
        ):
            stream.write_table(piece)
        self._count += 1
        self.rows += piece.num_rows

    def __iter__(self) -> Iterator[pa.Table]:
        for number in range(self._count):
            with pa.ipc.open_stream(self._file(number)) as stream:
                yield stream.read_all()

    def _file(self, number: int) -> str:
        return str(self._directory / f"{number:06}.arrow")


@contextmanager
def staging_area(name: str) -> Iterator[Path]:
    """Makes an empty directory for the block, and removes it when the block ends.

    A lock is held on the directory. Directories without a held lock were left by a process that died, and are removed
    first.

    Args:
        name: The project's name.

    Yields:
        The directory.
    """
    root = Settings().staging
    directory = root / f"{name}-{uuid4().hex}"
    held, alone = FileLock(directory / "lock"), FileLock(root / "lock")
    with translate_store_errors(str(root), "REFIT_HOME"):
        root.mkdir(parents=True, exist_ok=True)
        with alone:
            _remove_abandoned(root)
            directory.mkdir()
            held.acquire()
    try:
        yield directory
    finally:
        with alone:
            shutil.rmtree(directory)
        held.release()


@contextmanager
def abandoned_areas() -> Iterator[list[Path]]:
    """Finds staging directories and scratch areas of processes that died; none is made or removed during the block.

    Yields:
        The directories.
    """
    with _locked_root() as root, abandoned_scratch() as scratch:
        yield [*(path for path in _areas(root) if not is_held(path / "lock")), *scratch]


@contextmanager
def no_ingest_running() -> Iterator[bool]:
    """Keeps ingests on this machine from starting during the block.

    Yields:
        Whether no ingest is running.
    """
    with _locked_root() as root:
        yield not any(is_held(path / "lock") for path in _areas(root))


@contextmanager
def _locked_root() -> Iterator[Path]:
    root = Settings().staging
    with translate_store_errors(str(root), "REFIT_HOME"):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "lock"):
            yield root


def _areas(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name != FOLDER)


def _remove_abandoned(root: Path) -> None:
    for directory in _areas(root):
        with try_lock(directory / "lock") as free:
            if free:  # else its process lives
                shutil.rmtree(directory)
