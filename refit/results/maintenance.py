"""The results of maintenance: a backup's manifest, the findings of a clean-up, and the versions to keep."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

FORMAT = 1
"""The version of the backup's layout; a restore reads only this one."""


def _within(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise ValueError(f"{name!r} is not a path within the backup: use a relative path without '..'")
    return name


Name = Annotated[str, AfterValidator(_within)]
"""A file of the backup, relative to its directory and never outside of it."""


class FileStamp(BaseModel):
    """The size and hash by which a file is verified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    """In bytes."""
    sha256: str
    """In hexadecimal."""


class Ledger(BaseModel):
    """The last entry of the ledger in a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: int = Field(ge=0)
    """The number of entries."""
    head: str
    """The hash of the newest entry; empty if there is none."""


class Manifest(BaseModel):
    """The contents of a backup; written last, so that a directory without it is not a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    made_at: AwareDatetime
    """When the backup began; later records are not in it."""
    refit: str
    """The version of Refit that made the backup."""
    ledger: Ledger
    tables: dict[Name, int]
    """The newest version of each table."""
    artifacts: str | None
    """The URI of the embedded MLflow's artifacts; `None` if a server keeps them."""
    files: dict[Name, FileStamp]
    """The stamp of each file."""

    @property
    def size(self) -> int:
        """The size of all files, in bytes."""
        return sum(stamp.size for stamp in self.files.values())

    def under(self, folder: str) -> list[str]:
        """Lists the files of a folder.

        Args:
            folder: The folder, relative to the backup's directory.

        Returns:
            Their names, relative to the backup's directory, sorted.
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
"""The kind of thing that was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and what is done about it."""

    kind: Kind
    name: str
    """Identifies the thing: an id, a path, a version."""
    action: str
    """What is done about it, as a past participle: `removed`, `closed`, `recorded`."""
    sentence: str
    """What was found and done, in a sentence."""


def select_kept_versions(
    versions: Iterable[int], champions: Iterable[int], bound: Collection[int], newest: int
) -> frozenset[int]:
    """Selects the versions that retention keeps.

    Args:
        versions: All versions of a project.
        champions: The versions that were champion, one per generation, the newest first; the first one serves.
        bound: Versions that are kept at any age: they wait for a verdict or an approval, or an alias names them.
        newest: The number of newest versions to keep, and of generations that a rollback may go back; the serving
            version is always kept.

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
