"""The files of a Delta table as files: on a disk or on an object store, past what the table's log knows of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from refit_tasks.storage.delta import uri_of

if TYPE_CHECKING:
    from deltalake._internal import DeltaFileSystemHandler

LOG = "_delta_log/"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is there."""

    path: str
    """From the table's own directory."""
    size: int
    """In bytes."""
    changed_at: datetime


class TableFiles:
    """Lists, reads, replaces and removes them. A file is replaced as a whole: whoever is killed leaves the old one."""

    def __init__(self, name: str) -> None:
        self._uri = uri_of(name)

    def list_files(self) -> list[StoredFile]:
        """Lists all files.

        Returns:
            The files of data and of the log, sorted by their paths; none where there is no such directory.
        """
        from deltalake.exceptions import TableNotFoundError
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import FileSelector, FileType

        try:
            found = DeltaStorageHandler(self._uri).get_file_info_selector(FileSelector("", recursive=True))
        except TableNotFoundError:
            return []
        files = [StoredFile(one.path, one.size, one.mtime) for one in found if one.type == FileType.File]
        return sorted(files, key=lambda one: one.path)

    def open(self, path: str) -> pa.PythonFile:
        """Opens a file to be read.

        Args:
            path: From the table's directory.

        Returns:
            The open file.

        Raises:
            FileNotFoundError: If there is none.
        """
        return pa.PythonFile(self._store.open_input_file(path))

    def read(self, path: str) -> bytes:
        """Reads a file.

        Args:
            path: From the table's directory.

        Returns:
            All of it.
        """
        content: bytes = self.open(path).read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, in the place of the one that is there if there is one.

        Args:
            path: From the table's directory.
            content: All of it.
        """
        self.write_pieces(path, [content])

    def create_directory(self) -> None:
        """Makes the table's directory, where there are any: an object store has none."""
        if "://" not in self._uri:
            Path(self._uri).mkdir(parents=True, exist_ok=True)

    def write_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """Writes a file that need not fit into memory.

        Args:
            path: From the table's directory.
            pieces: What it is to hold, in order.
        """
        stream = self._store.open_output_stream(path)
        for piece in pieces:
            stream.write(piece)
        stream.close()  # type: ignore[attr-defined]  # left out of its stubs

    def remove(self, path: str) -> None:
        """Removes a file.

        Args:
            path: From the table's directory; one that is not there is no fault.
        """
        try:
            self._store.delete_file(path)
        except FileNotFoundError:
            return

    @cached_property
    def _store(self) -> DeltaFileSystemHandler:
        # The public handler's streams refuse the buffers that pyarrow hands them: these are the ones beneath.
        from deltalake._internal import DeltaFileSystemHandler

        return DeltaFileSystemHandler(self._uri, None, None)
