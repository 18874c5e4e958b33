"""What a backup says of itself: what is in it, how to tell that it is whole, and what its files belong to.

What keeping order finds: leftovers of a crash, and what retention lets go.

Which versions are kept: whatever serves, may serve again or waits for somebody, and the newest ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Annotated, Literal

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


class FileStamp(BaseModel):
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
    files: dict[Name, FileStamp]

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


Kind = Literal[
    "run",
    "turn",
    "decision",
    "training",
    "model",
    "version",
    "alias",
    "artifacts",
    "staging",
    "table",
    "draft",
    "ledger",
    "erasure",
]
"""Where something was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and what is done about it."""

    kind: Kind
    name: str
    """Names the thing: an id, a path, a version."""
    action: str
    """What is done about it, as a past participle: `removed`, `closed`, `recorded`."""
    sentence: str
    """What was found and done, for a person."""


def select_kept_versions(
    versions: Iterable[int], champions: Iterable[int], bound: Collection[int], newest: int
) -> frozenset[int]:
    """Picks the versions that are kept.

    Args:
        versions: All versions of a project.
        champions: The versions that were champion, a generation each, the newest first; the first of them serves.
        bound: Those that are kept whatever their age: they wait for a verdict or a person, or an alias names them.
        newest: How many of the newest versions are kept, and how many generations back a rollback may go; the one that
            serves is kept always.

    Returns:
        The versions to keep.

    Example:
        >>> sorted(select_kept_versions(range(1, 10), champions=[7, 3, 2], bound={5}, newest=2))
        [3, 5, 7, 8, 9]
        >>> sorted(select_kept_versions([1, 2, 3], champions=[1], bound=(), newest=0))
        [1]
    """
    there = sorted(versions)
    young = there[max(0, len(there) - newest) :]
    return frozenset({*young, *islice(champions, max(newest, 1)), *bound} & set(there))
