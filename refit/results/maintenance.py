"""What a backup says of itself: what is in it, how to tell that it is whole, and what its files belong to."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

FORMAT = 1
"""Counts the layouts of backups; a restore reads this one."""


def _within(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise ValueError(f"{name!r} is no place within the backup")
    return name


Name = Annotated[str, AfterValidator(_within)]
"""A file of the backup, from its directory; never a way out of it."""


class Stamp(BaseModel):
    """By what a file is known to be as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    """In bytes."""
    sha256: str


class Ledger(BaseModel):
    """Where the ledger ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: int = Field(ge=0)
    head: str
    """The hash of its newest entry; empty where there is none."""


class Manifest(BaseModel):
    """The contents of a backup; written last, so that a directory without it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    made_at: AwareDatetime
    """When it began: what was recorded later is not in it."""
    refit: str
    """The version of Refit that made it."""
    ledger: Ledger
    tables: dict[Name, int]
    """From each table to its newest version."""
    artifacts: str | None
    """Where the embedded MLflow kept its artifacts, as a URI; `None` where a server keeps them."""
    files: dict[Name, Stamp]

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(stamp.size for stamp in self.files.values())

    def under(self, folder: str) -> list[str]:
        """Names the files of a folder.

        Args:
            folder: From the backup's directory.

        Returns:
            Their names from the backup's directory, sorted.
        """
        return sorted(name for name in self.files if name.startswith(f"{folder}/"))
