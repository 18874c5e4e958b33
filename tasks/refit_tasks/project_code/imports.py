"""Import of a project file and the modules beside it, repeated only if its code has changed.

Installed modules take precedence over modules beside a project file. No bytecode is written beside project files.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from refit_tasks.project_code.files import code_files, code_hash, require_importable_helpers
from refit_tasks.project_code.library_settings import LibrarySettings, read_settings, restore_settings

PREFIX = "refit_project_"
"""The prefix of a project file's module name, the same in every process, since stored models may refer to it."""

_importing = threading.RLock()
"""Keeps other threads from seeing a partly imported module."""


class _Loader(SourceFileLoader):
    """A loader that always compiles from source, since a bytecode cache would be a file outside `REFIT_HOME`."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _HelperFinder(MetaPathFinder):
    """Finds modules beside project files, and project files by their module names."""

    def __init__(self) -> None:
        self.directories: list[str] = []

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        leaf = fullname.rpartition(".")[2]
        ours = self.directories if path is None else [one for one in path if _is_below(one, self.directories)]
        for directory in map(Path, ours):
            if fullname.startswith(PREFIX) and (file := directory / f"{leaf.removeprefix(PREFIX)}.py").is_file():
                return _spec(fullname, file)
            if (directory / f"{leaf}.py").is_file():
                return _spec(fullname, directory / f"{leaf}.py")
            if (directory / leaf).is_dir() and any((directory / leaf).glob("*.py")):
                return _package_spec(fullname, directory / leaf)
        return None


class _SubmoduleFinder(MetaPathFinder):
    """Finds the modules of packages beside project files before Python's own finder, which would write bytecode."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return _finder.find_spec(fullname, path, target) if path else None


_finder, _submodules = _HelperFinder(), _SubmoduleFinder()


def import_project(file: Path) -> tuple[ModuleType, LibrarySettings | None]:
    """Imports a project file, again only if its code has changed.

    Args:
        file: The project file.

    Returns:
        The module, and the global library settings that its import made, which are reverted; `None` if it made none.

    Raises:
        BrokenProject: If a module beside it has the name of an installed one.
    """
    with _importing:
        name, state = PREFIX + file.stem, code_hash(file)
        former = sys.modules.get(name)
        if former is None or (former.__file__, former.__dict__.get("__refit_code__")) != (str(file), state):
            former = _import(name, file, state)
        settings: LibrarySettings | None = former.__dict__["__refit_settings__"]
        return former, settings


def find_helpers_in(directory: Path) -> None:
    """Lets `import` find the modules beside the project files of a directory, and the files by their module names.

    Args:
        directory: The directory; it is searched before others that were named.
    """
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _submodules)
        sys.meta_path.append(_finder)
    others = [one for one in _finder.directories if one != str(directory)]
    _finder.directories[:] = [str(directory), *others]


@contextmanager
def substitute_code(today: Path, recorded: Path) -> Iterator[None]:
    """Replaces a project's current code by recorded code for imports within the block.

    Args:
        today: The current project file, which may have been imported already.
        recorded: The recorded project file, in another directory with the modules beside it.
    """
    with _importing:
        aside, paths, directories = _modules_of(code_files(today)), list(sys.path), list(_finder.directories)
        for name in aside:
            del sys.modules[name]
        replaced = {today.parent.resolve(): str(recorded.parent)}
        sys.path[:] = [replaced.get(Path(path).resolve(), path) for path in paths]
        find_helpers_in(recorded.parent)
        _finder.directories[:] = [one for one in _finder.directories if Path(one).resolve() not in replaced]
    try:
        yield
    finally:
        with _importing:
            sys.path[:] = paths
            _finder.directories[:] = directories
            for name in _modules_of(code_files(recorded)):
                del sys.modules[name]
            sys.modules.update(aside)


def _import(name: str, file: Path, state: str) -> ModuleType:
    find_helpers_in(file.parent)
    require_importable_helpers(file)
    _forget_helpers(file)
    spec = _spec(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before its code runs: dataclasses and stored models look their module up there
    try:
        with restore_settings():
            before = read_settings()
            spec.loader.exec_module(module)  # type: ignore[union-attr]  # `_spec` gives one
            after = read_settings()
    except BaseException:
        del sys.modules[name]
        raise
    module.__dict__.update(__refit_code__=state, __refit_settings__=after if after != before else None)
    return module


def _forget_helpers(file: Path) -> None:
    """Unloads modules named like those beside the file: older contents, or those of another project directory."""
    for helper in code_files(file)[1:]:
        top = helper.relative_to(file.parent).parts[0].removesuffix(".py")
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            if isinstance(getattr(sys.modules[name].__spec__, "loader", None), _Loader):
                del sys.modules[name]


def _spec(name: str, file: Path) -> ModuleSpec:
    spec = ModuleSpec(name, _Loader(name, str(file)), origin=str(file))
    spec.has_location = True
    return spec


def _package_spec(name: str, directory: Path) -> ModuleSpec:
    init = directory / "__init__.py"
    spec = _spec(name, init) if init.is_file() else ModuleSpec(name, None)
    spec.submodule_search_locations = [str(directory)]
    return spec


def _is_below(place: str, directories: Sequence[str]) -> bool:
    return any(Path(directory) in Path(place).parents for directory in directories)


def _modules_of(files: Sequence[Path]) -> dict[str, ModuleType]:
    named = {str(file.resolve()) for file in files}
    loaded = {name: (module, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())}
    return {name: module for name, (module, file) in loaded.items() if file and str(Path(file).resolve()) in named}
