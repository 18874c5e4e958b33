"""The files of a backup, readable by their owner only, and the manifest with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from refit.errors import StateError
from refit.results.maintenance import FORMAT, FileStamp, Manifest
from refit_tasks.errors import translate_store_errors

MANIFEST = "manifest.json"
CHUNK_BYTES = 8 << 20
"""The number of bytes that are read at a time."""
PLACE = "the backup's directory"
"""The name of the setting in error messages."""


class BackupFiles:
    """The files of a backup that is being made."""

    def __init__(self, root: Path) -> None:
        """Begins with none.

        Args:
            root: The directory that they are put into.
        """
        self.root = root
        self.stamps: dict[str, FileStamp] = {}

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Adds a file.

        Args:
            name: From the backup's directory.
            pieces: What it holds, in order.
        """
        digest, size, file = hashlib.sha256(), 0, self.made(name)
        with translate_store_errors(str(file), PLACE), file.open("wb") as stream:
            for piece in pieces:
                digest.update(piece)
                size += stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        self.stamps[name] = FileStamp(size=size, sha256=digest.hexdigest())

    def stamp(self, name: str) -> None:
        """Adds a file that something else has written to the place that `made` gave.

        Args:
            name: From the backup's directory.
        """
        self.stamps[name] = stamp_file(self.root / name)

    def made(self, name: str) -> Path:
        """Makes an empty file, and the directories above it.

        Args:
            name: From the backup's directory.

        Returns:
            The file.
        """
        with translate_store_errors(str(self.root / name), PLACE):
            return create_private_file(self.root / name)


@contextmanager
def new_backup(directory: Path) -> Iterator[BackupFiles]:
    """Makes a backup's directory: whole at the end of the block, or not at all.

    Args:
        directory: Where it is to be; it may be there, empty.

    Yields:
        What takes the files. They lie beside that place until the block ends; what a killed one has left there goes.

    Raises:
        StateError: If there is something already, or it cannot be written.
    """
    draft = directory.with_name(f".{directory.name}.unfinished")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StateError(f"{directory} is not empty: name a new directory for each backup")
    shutil.rmtree(draft, ignore_errors=True)
    with translate_store_errors(str(directory), PLACE):
        draft.mkdir(mode=0o700, parents=True)
    try:
        yield BackupFiles(draft)
        with translate_store_errors(str(directory), PLACE):
            draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_manifest(copies: BackupFiles, manifest: Manifest) -> None:
    """Makes a directory a backup.

    Args:
        copies: Its files.
        manifest: What they are.
    """
    BackupFiles(copies.root).write(MANIFEST, [manifest.model_dump_json(indent=1).encode()])


def read_manifest(directory: Path) -> Manifest:
    """Reads what a backup says of itself.

    Args:
        directory: The backup.

    Returns:
        Its contents.

    Raises:
        StateError: If it is no backup, or one that another version of Refit has to read.
    """
    file = directory / MANIFEST
    if not file.is_file():
        raise StateError(
            f"{directory} is not a complete backup, since it has no {MANIFEST}: name one that `refit backup` made"
        )
    try:
        said = json.loads(file.read_bytes())
        if isinstance(said, dict) and said.get("format") != FORMAT:
            raise StateError(
                f"{directory} was made by Refit {said.get('refit')} in another format: restore it with that version"
            )
        return Manifest.model_validate(said)
    except (ValidationError, ValueError) as fault:
        raise StateError(f"{file} is damaged: restore another backup") from fault


def verify_checksums(directory: Path, manifest: Manifest) -> None:
    """Holds every file of a backup against its checksum.

    Args:
        directory: The backup.
        manifest: What it says of itself.

    Raises:
        StateError: If a file is gone, or not what it was.
    """
    for name, stamp in manifest.files.items():
        file = directory / name
        if not file.is_file():
            raise StateError(f"the backup {directory} is incomplete, {name} is missing: restore another one")
        with translate_store_errors(str(file), PLACE):
            found = stamp_file(file)
        if found != stamp:
            raise StateError(f"the backup {directory} is damaged, {name} has another checksum: restore another one")


def read_chunks(file: Path) -> Iterator[bytes]:
    """Reads a file a piece at a time.

    Args:
        file: The file.

    Yields:
        Its bytes, in order.
    """
    with translate_store_errors(str(file), "REFIT_HOME"), file.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            yield piece


def stamp_file(file: Path) -> FileStamp:
    """Reads by what a file is known.

    Args:
        file: The file.

    Returns:
        Its size and checksum.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileStamp(size=file.stat().st_size, sha256=digest)


def create_private_file(file: Path) -> Path:
    """Makes an empty file for its owner's eyes only, and the directories above it.

    Args:
        file: Where; what it held is gone.

    Returns:
        The file.
    """
    for folder in reversed([one for one in file.parents if not one.exists()]):
        folder.mkdir(mode=0o700)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    return file
