"""The files of a Delta table, on a disk or in an object store, whether or not the table's log names them."""

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
    """A file of a table."""

    path: str
    """The path, relative to the table's directory."""
    size: int
    """The size in bytes."""
    changed_at: datetime
    """The time of the last change."""


class TableFiles:
    """Lists, reads, replaces and removes the files of a table. A file is replaced atomically."""

    def __init__(self, name: str) -> None:
        self._uri = uri_of(name)

    def list_files(self) -> list[StoredFile]:
        """Lists all files.

        Returns:
            The files of data and log, sorted by path; empty if the table does not exist.
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

    def list_data_files(self) -> list[str]:
        """Lists the files of rows, those of former versions and those that no version names included.

        Returns:
            Their paths, sorted.
        """
        return [one.path for one in self.list_files() if one.path.endswith(".parquet") and not one.path.startswith(LOG)]

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
        """Writes a file, replacing an existing one.

        Args:
            path: The path, relative to the table's directory.
            content: The contents.
        """
        self.write_pieces(path, [content])

    def create_directory(self) -> None:
        """Creates the table's directory; does nothing in an object store, which has no directories."""
        if "://" not in self._uri:
            Path(self._uri).mkdir(parents=True, exist_ok=True)

    def write_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """Writes a file piece by piece, so that it need not fit into memory.

        Args:
            path: The path, relative to the table's directory.
            pieces: The contents, in order.
        """
        stream = self._store.open_output_stream(path)
        for piece in pieces:
            stream.write(piece)
        stream.close()  # type: ignore[attr-defined]  # left out of its stubs

    def remove(self, path: str) -> None:
        """Removes a file.

        Args:
            path: The path, relative to the table's directory; a missing file is ignored.
        """
        try:
            self._store.delete_file(path)
        except FileNotFoundError:
            return

    @cached_property
    def _store(self) -> DeltaFileSystemHandler:
        # The streams of the public handler reject pyarrow's buffers, so the underlying handler is used.
        from deltalake._internal import DeltaFileSystemHandler

        return DeltaFileSystemHandler(self._uri, None, None)
