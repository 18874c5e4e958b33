"""The recorded recipe of a model (code, packages, seed, machine), and its differences from the current one."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The code, packages, seed and machine of one fit."""

    file_hash: str
    """SHA-256 of the project file and of the `_*.py` files next to it."""
    lock_hash: str
    """SHA-256 of the lock file's text, or of the list of installed packages."""
    seed: int
    commit: str
    """The git commit of the project file's repository."""
    dirty: str
    """Whether the repository had uncommitted changes."""
    cpu: str
    threads: str
    blas: str
    python: str = UNKNOWN
    """The interpreter's version; `unknown` in records without it."""
    tuned: str = ""
    """The hyperparameters found by tuning, as JSON; empty in records without them."""
    packages: str = ""
    """The installed versions of the packages that the model needs, one `name==version` a line; empty in records without
    them."""


@dataclass(frozen=True, slots=True)
class RecipeChange:
    """One difference between the record of a model and the present."""

    what: str
    """`data`, `code`, `lock`, `seed`, `machine`, `model` or `unknown`."""
    recorded: str
    now: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The result of reproducing a model."""

    project: str
    version: int
    reproduced: bool
    """Whether both models predict the same, to 1e-9."""
    difference: float | None
    """The largest absolute difference between predictions; `None` if nothing could be fitted or compared."""
    rows: int
    """The number of rows that both models predicted."""
    used_code: str
    """`today's` or `recorded`."""
    differs: tuple[RecipeChange, ...]
    """All differences from the record, whether they mattered or not."""
    seconds: float
    """Wall-clock time."""

    @property
    def causes(self) -> tuple[RecipeChange, ...]:
        """The possible causes of a difference; empty if there is none."""
        if self.reproduced:
            return ()
        return self.differs or (RecipeChange("unknown", "nothing that is recorded", "differs"),)

    def as_json(self) -> dict[str, Any]:
        """Returns the result as JSON values.

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
    """Finds the differences between two recipes.

    Args:
        recorded: The recipe on record.
        now: The recipe that the same fit would have now.
        packages: The texts of the lock files, recorded and current; the recorded one is used only if its hash matches
            the recipe's.

    Returns:
        One change for each of code, lock, seed and machine that differs.
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
    r"""Parses the packages of a lock file.

    Args:
        lock: The text of a `uv.lock`, or one `name==version` a line.

    Returns:
        Packages and their versions.

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
    """Lists at most ten packages that differ; installed versions take precedence over locked ones."""
    is_true_copy = hashlib.sha256(locks[0].encode()).hexdigest() == recorded.lock_hash
    before = {**(parse_versions(locks[0]) if is_true_copy else {}), **parse_versions(recorded.packages)}
    after = {**parse_versions(locks[1]), **parse_versions(now.packages)}
    names = {*before, *after} if is_true_copy else before
    differing = sorted(name for name in names if before.get(name) != after.get(name))[:10]
    lists = [", ".join(f"{name} {versions.get(name, 'absent')}" for name in differing) for versions in (before, after)]
    kept = (
        "the same versions"
        if is_true_copy
        else f"a lock file {recorded.lock_hash[:12]} without an intact copy in MLflow"
    )
    return lists[0] or kept, lists[1] or f"a lock file {now.lock_hash[:12]}"
