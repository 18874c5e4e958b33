"""Provenance of a model: code, configuration, packages and machine, and the run key that is a hash of them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, version
from pathlib import Path

from sklearn.base import BaseEstimator

import refit
from refit.project import Project
from refit.records.recipes import UNKNOWN
from refit.records.references import Split
from refit_tasks.project_code.files import code_hash

_BASE_PACKAGES = {"numpy", "pandas", "scikit-learn", "scipy", "skops"}
"""Packages that every stored model needs."""


@dataclass(frozen=True, slots=True)
class CodeState:
    """The state of a project's code in git and on disk."""

    commit: str
    """The git commit of the repository that holds the project file; `unknown` outside one."""
    dirty: bool | None
    """Whether anything in that repository is not committed; `None` outside one."""
    file_hash: str
    """Hash of the project file and of the modules beside it that it imports; `unknown` without a file."""


def read_code_state(definition: Project) -> CodeState:
    """Reads the state of a project's code.

    Args:
        definition: The project.

    Returns:
        Commit, dirty flag and the project file's hash.
    """
    if definition.file is None:
        return CodeState(UNKNOWN, None, UNKNOWN)
    # An environment often lies inside a repository that ignores it, whose commit says nothing about it.
    if _run_git(definition.file.parent, "check-ignore", "--quiet", str(definition.file)) is not None:
        return CodeState(UNKNOWN, None, _hash_code(definition))
    commit = _run_git(definition.file.parent, "rev-parse", "HEAD")
    changes = _run_git(definition.file.parent, "status", "--porcelain")
    dirty = None if changes is None else bool(changes)
    return CodeState((commit or UNKNOWN).strip(), dirty, _hash_code(definition))


def _hash_code(definition: Project) -> str:
    if definition.file is None:
        return UNKNOWN
    return code_hash(definition.file)


def _run_git(folder: Path, *words: str) -> str | None:
    """Runs git in a folder; `None` if it fails: no repository, no git, or too slow a disk."""
    try:
        answer = subprocess.run(  # noqa: S603 - no shell, and all words are constants or paths
            ["git", "--no-optional-locks", "-C", str(folder), *words],  # noqa: S607 - git lies elsewhere on each system
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return answer.stdout


@cache
def read_lock() -> str:
    """Reads the locked packages, or lists the installed ones.

    Returns:
        The text of `uv.lock` in a checkout of Refit; where Refit is installed as a package, the installed packages
        with their versions, one a line, sorted, by the names that a lock gives them.
    """
    root = Path(refit.__file__).parents[1]
    if (root / "pyproject.toml").is_file() and (root / "uv.lock").is_file():
        return (root / "uv.lock").read_text(encoding="utf-8")
    # Packages in the current directory are not installed, and would change the hash of the same environment elsewhere.
    path = [entry for entry in sys.path if entry and Path(entry) != Path.cwd()]
    found = {f"{_normalize_name(package.name)}=={package.version}" for package in distributions(path=path)}
    return "\n".join(sorted(found)) + "\n"


def _normalize_name(name: str) -> str:
    """Normalizes a package's name as packaging tools do: `great_expectations` becomes `great-expectations`."""
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def lock_hash() -> str:
    """Hashes the packages.

    Returns:
        SHA-256 of `read_lock`, in hexadecimal.
    """
    return hashlib.sha256(read_lock().encode()).hexdigest()


def pin_requirements(model: BaseEstimator) -> list[str]:
    """Pins the packages that a stored model needs to their installed versions.

    Args:
        model: The fitted estimator.

    Returns:
        Pinned requirements, sorted: those of every model, and those that define the estimator and its parts.
    """
    parts = [model, *model.get_params(deep=True).values()]
    modules = {type(part).__module__.partition(".")[0] for part in parts}
    packages = {package for module in modules for package in _packages().get(module, ())}
    return [f"{name}=={version(name)}" for name in sorted(packages | _BASE_PACKAGES)]


_packages = cache(packages_distributions)


def installed_versions(names: Iterable[str]) -> str:
    """Looks up which versions of packages are installed.

    Args:
        names: The names of the packages.

    Returns:
        One `name==version` a line, in the order of the names; `absent` is the version of what is not installed.
    """
    return "\n".join(f"{name}=={_installed_version(name)}" for name in names)


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def run_key(definition: Project, parts: Split, attempt: int = 0) -> str:
    """Hashes everything that determines a model and its verdict; the same key means the same run.

    Args:
        definition: The project.
        parts: The rows to train and to judge on.
        attempt: Distinguishes runs that should differ although nothing has changed.

    Returns:
        The first 32 hexadecimal digits of a SHA-256.
    """
    without = {"load", "build", "expectations", "file", "description", "monitoring", "serving"}
    said = definition.model_dump(mode="json", exclude=without)
    ingredients = {
        "project": said,
        "file": _hash_code(definition),
        "train": parts.train.fingerprint,
        "holdout": parts.holdout.fingerprint,
        "lock": lock_hash(),
        "attempt": attempt,
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:32]


@cache
def describe_machine() -> dict[str, str]:
    """Describes what can change the last digits of a fit: processor, threads, BLAS library, interpreter.

    Returns:
        `cpu`, `threads`, `blas` and `python`.
    """
    from threadpoolctl import threadpool_info

    libraries = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = sorted({f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in libraries})
    return {
        "cpu": _processor_name(),
        "threads": str(os.cpu_count()),
        "blas": ", ".join(blas) or UNKNOWN,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    """Gives the processor's model name; `platform.processor` is empty on most Linux systems."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
