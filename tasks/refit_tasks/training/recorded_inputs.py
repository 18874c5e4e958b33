"""The code that a version was made with, run in place of today's once it is sure that it is what the ledger names."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from refit.errors import CannotReproduce
from refit.project import Project
from refit.records.recipes import Recipe
from refit.records.references import ModelRef
from refit_tasks.catalog import read_project
from refit_tasks.registry.provenance import code_files, hash_of
from refit_tasks.registry.recipe import kept_code


@contextmanager
def as_it_was(definition: Project, model: ModelRef, recipe: Recipe) -> Iterator[tuple[Project, str]]:
    """Gives the project as it was when a model was made: today's file if it is the same, else the recorded one.

    Args:
        definition: The project as it is now.
        model: The model, whose run keeps the code.
        recipe: What the ledger says the code was.

    Yields:
        The project; and `today's` or `recorded`.

    Raises:
        CannotReproduce: If the code is gone, or not what the ledger names; nothing of it has run then.
        BrokenProject: If it cannot be imported any more.
    """
    if definition.file is not None and hash_of(definition.file) == recipe.file_hash:
        yield definition, "today's"
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = _checked(definition, model, recipe, Path(scratch))
        with _in_place_of(definition.file or file, file):
            yield read_project(file), "recorded"


def _checked(definition: Project, model: ModelRef, recipe: Recipe, scratch: Path) -> Path:
    file = kept_code(model, scratch)
    if file is None:
        raise CannotReproduce(
            f"the code of {definition.name} has changed, and run {model.run_id} has not kept what it was: "
            f"check out commit {recipe.commit[:12]}"
        )
    strangers = set(file.parent.rglob("*")) - set(code_files(file))  # no hash covers them, and an import may find them
    if strangers or hash_of(file) != recipe.file_hash:
        raise CannotReproduce(
            f"the code that run {model.run_id} keeps in MLflow is not the one that the ledger names "
            f"({recipe.file_hash[:12]}), so it is not run: restore MLflow's artifacts from a backup"
        )
    return file


@contextmanager
def _in_place_of(today: Path, recorded: Path) -> Iterator[None]:
    """Lets imports find the recorded files where they would find today's, which may have been imported already."""
    aside, paths = _modules_of(code_files(today)), list(sys.path)
    for name in aside:
        del sys.modules[name]
    sys.path[:] = [str(recorded.parent) if Path(path).resolve() == today.parent.resolve() else path for path in paths]
    try:
        yield
    finally:
        sys.path[:] = paths
        for name in _modules_of(code_files(recorded)):
            del sys.modules[name]
        sys.modules.update(aside)


def _modules_of(files: list[Path]) -> dict[str, ModuleType]:
    named = {str(file.resolve()) for file in files}
    loaded = {name: (module, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())}
    return {name: module for name, (module, file) in loaded.items() if file and str(Path(file).resolve()) in named}
