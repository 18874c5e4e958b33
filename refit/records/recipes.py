"""What a model was made with beside its rows, as the ledger keeps it; and what is different now."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Code, packages, seed and machine of one fit."""

    file_hash: str
    """SHA-256 of the project file and of the `_*.py` beside it."""
    lock_hash: str
    """SHA-256 of the lock file's text, or of the list of installed packages."""
    seed: int
    commit: str
    """The git commit of the repository that held the project file."""
    dirty: str
    """Whether anything there was not committed."""
    cpu: str
    threads: str
    blas: str
    python: str = UNKNOWN
    """The interpreter's version; `unknown` in records that did not keep it."""
    tuned: str = ""
    """The hyperparameters that tuning found, as JSON; empty in records that did not keep them."""
    packages: str = ""
    """What the model needs, as it was installed, one `name==version` a line; empty in records that did not keep it."""


@dataclass(frozen=True, slots=True)
class RecipeChange:
    """One thing that is not as it was when the model was made."""

    what: str
    """`data`, `code`, `lock`, `seed`, `machine`, `model` or `unknown`."""
    recorded: str
    now: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of making a model once more."""

    project: str
    version: int
    reproduced: bool
    """Whether both models answer the same, to 1e-9."""
    difference: float | None
    """The largest absolute difference of an answer; `None` where nothing could be fitted or compared."""
    rows: int
    """How many rows both were asked about."""
    used_code: str
    """`today's` or `recorded`."""
    differs: tuple[RecipeChange, ...]
    """What is different from the record, whether it mattered or not."""
    seconds: float

    @property
    def causes(self) -> tuple[RecipeChange, ...]:
        """What may explain the difference; empty where there is none."""
        if self.reproduced:
            return ()
        return self.differs or (RecipeChange("unknown", "nothing that is recorded", "differs"),)

    def as_json(self) -> dict[str, Any]:
        """Gives the outcome as JSON values.

        Returns:
            The keys of `refit reproduce --json`.
        """
        return {
            "project": self.project,
            "version": self.version,
            "reproduced": self.reproduced,
            "max_difference": self.difference,
            "rows": self.rows,
            "used_code": self.used_code,
            "causes": [{"what": one.what, "recorded": one.recorded, "now": one.now} for one in self.causes],
            "differs": [{"what": one.what, "recorded": one.recorded, "now": one.now} for one in self.differs],
            "seconds": round(self.seconds, 3),
        }


def find_changes(recorded: Recipe, now: Recipe, packages: tuple[str, str]) -> tuple[RecipeChange, ...]:
    """Names what is different now.

    Args:
        recorded: The recipe on record.
        now: What the same fit would be made with now.
        packages: The texts of the lock files, recorded and now; the recorded one is only believed if the recipe's
            hash is that of it.

    Returns:
        One cause for each of code, lock, seed and machine that differs.
    """
    found = []
    if recorded.file_hash != now.file_hash:
        found.append(
            RecipeChange("code", f"{recorded.file_hash[:12]} (commit {recorded.commit[:12]})", now.file_hash[:12])
        )
    if (recorded.lock_hash, recorded.packages) != (now.lock_hash, now.packages):
        found.append(RecipeChange("lock", *_packages(recorded, now, packages)))
    if recorded.seed != now.seed:
        found.append(RecipeChange("seed", str(recorded.seed), str(now.seed)))
    before, after = (_machine(one, python=recorded.python != UNKNOWN) for one in (recorded, now))
    if before != after:
        found.append(RecipeChange("machine", before, after))
    return tuple(found)


def parse_versions(lock: str) -> Mapping[str, str]:
    r"""Reads the packages of a lock.

    Args:
        lock: The text of a `uv.lock`, or one `name==version` a line.

    Returns:
        From package to version.

    Example:
        >>> parse_versions("numpy==2.4.0\nscipy==1.17.0\n")["scipy"]
        '1.17.0'
    """
    if "[[package]]" in lock:
        packages = tomllib.loads(lock).get("package", [])
        return {package["name"]: str(package.get("version", "")) for package in packages}
    pairs = (line.split("==", 1) for line in lock.splitlines() if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


def _machine(one: Recipe, *, python: bool) -> str:
    return ", ".join((one.cpu, f"{one.threads} threads", one.blas, *([f"Python {one.python}"] if python else [])))


def _packages(recorded: Recipe, now: Recipe, locks: tuple[str, str]) -> tuple[str, str]:
    """Lists the packages that differ, ten at most; what is installed counts for more than what should be."""
    believed = hashlib.sha256(locks[0].encode()).hexdigest() == recorded.lock_hash
    before = {**(parse_versions(locks[0]) if believed else {}), **parse_versions(recorded.packages)}
    after = {**parse_versions(locks[1]), **parse_versions(now.packages)}
    names = {*before, *after} if believed else before
    differing = sorted(name for name in names if before.get(name) != after.get(name))[:10]
    told = [", ".join(f"{name} {versions.get(name, 'absent')}" for name in differing) for versions in (before, after)]
    kept = "the same versions" if believed else f"a lock {recorded.lock_hash[:12]} that MLflow has no true copy of"
    return told[0] or kept, told[1] or f"a lock {now.lock_hash[:12]}"
