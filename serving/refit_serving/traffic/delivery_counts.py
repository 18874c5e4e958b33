"""Counts of predictions accepted for logging and settled, in a memory-mapped file that survives a killed process.

Writing to mapped memory costs nothing, and what a killed process has written stays. Rows that the file of a dead
process counts as accepted and not as settled are lost. A power failure may lose the counts, too.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors
from refit_tasks.locks import lock_open_file

_COUNTS = struct.Struct("<qq")
_SUFFIX = ".receipts"


class DeliveryCounts:
    """The counts of one project in one server, in a file whose lock shows that the server lives. Not thread-safe."""

    def __init__(self, project: str, writer: str) -> None:
        """Creates and locks the file.

        Args:
            project: The project's name.
            writer: The unique name of the server.

        Raises:
            StateError: If the file cannot be created.
        """
        self._path = _directory() / f"{project}-{writer}{_SUFFIX}"
        with translate_store_errors(str(self._path), "REFIT_HOME"):
            _directory().mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w+b")
            # Locked while it is still empty: empty files are not counted, whoever locks them first.
            lock_open_file(self._file.fileno(), seconds=math.inf)
            self._file.truncate(_COUNTS.size)
            self._counts = mmap.mmap(self._file.fileno(), _COUNTS.size)

    def count(self, accepted: int = 0, settled: int = 0) -> None:
        """Adds rows to the counts.

        Args:
            accepted: Rows that were queued to be logged.
            settled: Rows that were logged, or dropped and counted as such.
        """
        before = _COUNTS.unpack_from(self._counts)
        _COUNTS.pack_into(self._counts, 0, before[0] + accepted, before[1] + settled)

    def close(self) -> None:
        """Removes the file. A server that shuts down cleanly reports its own losses."""
        self._counts.close()
        self._path.unlink()
        self._file.close()


def count_lost_rows() -> dict[str, int]:
    """Counts the rows that killed servers of this home had accepted and not settled, and removes their files.

    Returns:
        From project to lost rows, at most: the last batch may have been written and not settled.

    Raises:
        StateError: If the files cannot be read or removed.
    """
    lost = Counter[str]()
    with translate_store_errors(str(_directory()), "REFIT_HOME"):
        _directory().mkdir(parents=True, exist_ok=True)
        for path, (accepted, settled) in _dead_counts():
            lost[path.stem.partition("-")[0]] += accepted - settled
            path.unlink()
    return {project: rows for project, rows in lost.items() if rows}


def _directory() -> Path:
    return Settings().home / "serving"


def _dead_counts() -> Iterator[tuple[Path, tuple[int, int]]]:
    for path in sorted(_directory().glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            if not lock_open_file(file.fileno()):  # its server lives
                continue
            counts = os.pread(file.fileno(), _COUNTS.size, 0)
            if len(counts) == _COUNTS.size:
                yield path, _COUNTS.unpack(counts)
