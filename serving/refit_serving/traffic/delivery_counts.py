"""How many predictions a server has taken to be logged, and how many are settled, in a file that outlives a kill.

The two counts are written to memory that is mapped from a file: that costs nothing, and what a killed process has
written there stays. What a file of a dead process counts as taken and not as settled is lost. A machine that loses its
power may lose the counts, too.
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
    """The counts of one project of one server; its lock tells that the server lives. Not to be shared by threads."""

    def __init__(self, project: str, writer: str) -> None:
        """Opens a file of its own.

        Args:
            project: The project's name.
            writer: What names the server.

        Raises:
            StateError: If there can be no such file.
        """
        self._path = _directory() / f"{project}-{writer}{_SUFFIX}"
        with translate_store_errors(str(self._path), "REFIT_HOME"):
            _directory().mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w+b")
            # Locked before it has a size: until then it is nobody's.
            lock_open_file(self._file.fileno(), seconds=math.inf)
            self._file.truncate(_COUNTS.size)
            self._counts = mmap.mmap(self._file.fileno(), _COUNTS.size)

    def count(self, taken: int = 0, settled: int = 0) -> None:
        """Counts rows.

        Args:
            taken: Rows that are to be logged.
            settled: Rows that are logged, or that were counted as dropped.
        """
        before = _COUNTS.unpack_from(self._counts)
        _COUNTS.pack_into(self._counts, 0, before[0] + taken, before[1] + settled)

    def close(self) -> None:
        """Removes the file: who ends in peace says himself what is lost."""
        self._counts.close()
        self._path.unlink()
        self._file.close()


def count_lost_rows() -> dict[str, int]:
    """Finds what servers of this home had taken and not settled when they were killed, and forgets it.

    Returns:
        From project to rows, at most so many: the last batch may have been written without being settled.

    Raises:
        StateError: If there can be no such files.
    """
    lost = Counter[str]()
    with translate_store_errors(str(_directory()), "REFIT_HOME"):
        _directory().mkdir(parents=True, exist_ok=True)
        for path, (taken, settled) in _dead_counts():
            lost[path.stem.partition("-")[0]] += taken - settled
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
