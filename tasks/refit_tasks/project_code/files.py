"""The files that a project's code is made of, and their hash."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from sys import builtin_module_names, stdlib_module_names

from refit.errors import BrokenProject

VERSION_2 = "v2:"
"""The prefix of a hash that covers names and contents; hashes of former releases cover the contents alone."""


def code_files(file: Path) -> list[Path]:
    """Lists the files that a project's code is made of.

    Args:
        file: The project file.

    Returns:
        The project file, followed by the sorted modules beside it: those that it imports directly or indirectly, with
        all modules of imported packages, and every `_*.py`, which it may import by other means.
    """
    helpers = {helper for found in _helpers(file).values() for helper in found}
    return [file, *sorted((helpers | set(file.parent.glob("_*.py"))) - {file})]


def code_hash(file: Path) -> str:
    """Hashes the names and the contents of a project's code.

    Args:
        file: The project file.

    Returns:
        `v2:` and a SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256(b"refit project code 2")
    for one in code_files(file):
        for part in (one.relative_to(file.parent).as_posix().encode(), one.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return VERSION_2 + digest.hexdigest()


def code_matches(file: Path, recorded: str) -> bool:
    """Tells whether a project's code is the recorded one.

    Args:
        file: The project file.
        recorded: The recorded hash, of this or of a former release.

    Returns:
        Whether the code has that hash.
    """
    return recorded == (code_hash(file) if recorded.startswith(VERSION_2) else _contents_hash(file))


def files_covered(file: Path, recorded: str) -> set[Path]:
    """Lists the files that a recorded hash covers.

    Args:
        file: The project file.
        recorded: The recorded hash, of this or of a former release.

    Returns:
        The files.
    """
    return set(code_files(file) if recorded.startswith(VERSION_2) else _former_files(file))


def require_importable_helpers(file: Path) -> None:
    """Checks that `import` finds the modules beside a project file, and not an installed one of the same name.

    Args:
        file: The project file.

    Raises:
        BrokenProject: If a module beside the file has the name of an installed one.
    """
    for name, helpers in _helpers(file).items():
        if name in builtin_module_names or name in stdlib_module_names or _is_elsewhere(name, file.parent):
            raise BrokenProject(
                f"{helpers[0]} has the name of an installed module, which `import {name}` in {file} finds instead: "
                "rename the file"
            )


def _former_files(file: Path) -> list[Path]:
    return [file, *sorted(file.parent.glob("_*.py"))]


def _contents_hash(file: Path) -> str:
    return hashlib.sha256(b"\0".join(one.read_bytes() for one in _former_files(file))).hexdigest()


def _helpers(file: Path) -> dict[str, list[Path]]:
    """Finds the modules and packages beside a project file that it imports, each with its files."""
    found: dict[str, list[Path]] = {}
    waiting = [file]
    while waiting:
        for name in _imported_names(waiting.pop()):
            if name not in found and (files := _files_of(name, file.parent)):
                found[name] = files
                waiting += files
    return found


def _files_of(name: str, directory: Path) -> list[Path]:
    module, package = directory / f"{name}.py", directory / name
    if package.is_dir():
        return sorted(package.rglob("*.py"))
    return [module] if module.is_file() else []


def _imported_names(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # the import will say what is wrong with it
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_elsewhere(name: str, directory: Path) -> bool:
    spec = PathFinder.find_spec(name)
    places = [spec.origin] if spec and spec.origin else list(spec.submodule_search_locations or ()) if spec else []
    return any(directory.resolve() not in Path(place).resolve().parents for place in places)
