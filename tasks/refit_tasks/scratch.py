"""Temporary files of this process, all under `REFIT_HOME`: removed at the end, or after a kill by whoever comes next.

The system's temporary directory is not used, since what a killed process leaves there, rows of a holdout included,
nobody would find again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.locks import is_held, try_lock

FOLDER = "scratch"
"""The directory of all scratch areas, within the staging directory."""
VARIABLES = ("TMPDIR", "JOBLIB_TEMP_FOLDER")
"""The environment variables by which libraries and child processes choose their temporary directory."""


@contextmanager
def scratch_area(name: str) -> Iterator[Path]:
    """Makes an empty directory for the block, and removes it when the block ends.

    A lock is held on the directory. Directories without a held lock were left by a process that died, and are removed
    first.

    Args:
        name: What it is for, such as the project's name.

    Yields:
        The directory.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    with _exclusive_access() as root:
        for abandoned in _find_abandoned(root):
            with try_lock(abandoned / "lock") as free:
                if free:
                    shutil.rmtree(abandoned)
        directory = root / f"{name[:24]}-{uuid4().hex[:12]}"  # sockets in it have short paths
        directory.mkdir(mode=0o700)
        held = FileLock(directory / "lock")
        held.acquire()
    files = directory / "files"
    files.mkdir(mode=0o700)
    try:
        yield files
    finally:
        with _exclusive_access():
            shutil.rmtree(directory, ignore_errors=True)
        held.release()


@contextmanager
def process_scratch(name: str) -> Iterator[Path]:
    """Puts the temporary files of this process, its libraries and its children into a scratch area during the block.

    Args:
        name: What it is for, such as the project's name.

    Yields:
        The directory.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    with scratch_area(name) as directory:
        former, variables = tempfile.tempdir, {one: os.environ.get(one) for one in VARIABLES}
        tempfile.tempdir = str(directory)
        os.environ.update(dict.fromkeys(VARIABLES, str(directory)))
        try:
            yield directory
        finally:
            tempfile.tempdir = former
            for variable, value in variables.items():
                os.environ.pop(variable, None)
                if value is not None:
                    os.environ[variable] = value


@contextmanager
def abandoned_scratch() -> Iterator[list[Path]]:
    """Finds scratch areas of processes that died; no other process makes or removes one during the block.

    Yields:
        The directories; none if there never was one.
    """
    if not (Settings().staging / FOLDER).is_dir():
        yield []
        return
    with _exclusive_access() as root:
        yield _find_abandoned(root)


def _find_abandoned(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_held(path / "lock"))


@contextmanager
def _exclusive_access() -> Iterator[Path]:
    root = Settings().staging / FOLDER
    with translate_store_errors(str(root), "REFIT_HOME"):
        open_home(Settings())
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "lock"):
            yield root
