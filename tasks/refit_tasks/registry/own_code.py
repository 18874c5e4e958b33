"""A project's own classes in a stored model: loaded with the code that the model was made with.

A model whose project file names types of its own in `trusted_types` needs that file, and what it imports from beside
it, wherever it is loaded. The code that belongs to a version is kept with its run and named by its hash in the ledger;
it is run only if it has that hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refit.errors import CannotReproduce, ModelError
from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.recipes import Recipe
from refit.records.references import ModelRef
from refit_tasks.ledger.record import entries
from refit_tasks.project_code.files import code_matches, files_covered
from refit_tasks.project_code.imports import PREFIX, find_helpers_in, import_project, substitute_code
from refit_tasks.registry.recipe import fetch_code, read_recipe
from refit_tasks.scratch import scratch_area

SEARCHED_VERDICTS = 1_000
"""How many of the newest verdicts are searched for a model's recipe."""


def has_own_types(definition: Project) -> bool:
    """Tells whether a project trusts types of its own file, or of modules beside it.

    Args:
        definition: The project.

    Returns:
        Whether its stored models need its code.
    """
    if definition.file is None:
        return False
    directory, roots = definition.file.parent, {name.partition(".")[0] for name in definition.trusted_types}
    return any(
        root.startswith(PREFIX) or (directory / f"{root}.py").is_file() or (directory / root).is_dir() for root in roots
    )


@contextmanager
def use_model_code(definition: Project, model: ModelRef) -> Iterator[None]:
    """Makes the classes that a stored model was trained with importable.

    Args:
        definition: The project as it is now.
        model: The model.

    Yields:
        Nothing; load the model within the block. It keeps its classes afterwards.

    Raises:
        ModelError: If the project's code has changed since, and the code that the model was made with is gone, or is
            not what the ledger names.
    """
    if definition.file is None or not has_own_types(definition):
        yield
        return
    recipe = _find_recipe(definition, model)
    if code_matches(definition.file, recipe.file_hash):
        find_helpers_in(definition.file.parent)
        yield
        return
    with scratch_area(definition.name) as scratch:
        try:
            file = fetch_recorded_code(definition, model, recipe, scratch)
        except CannotReproduce as gone:
            raise ModelError(f"{gone}, or retrain the project") from gone
        with substitute_code(definition.file, file):
            import_project(file)
            yield


def fetch_recorded_code(definition: Project, model: ModelRef, recipe: Recipe, scratch: Path) -> Path:
    """Downloads the code that a model was trained with, and checks it against the ledger.

    Args:
        definition: The project as it is now.
        model: The model, whose run keeps the code.
        recipe: What the ledger says the code was.
        scratch: Where to put it.

    Returns:
        The project file, with what it imports beside it.

    Raises:
        CannotReproduce: If the code is gone, or not what the ledger names; nothing of it has run then.
    """
    file = fetch_code(model, scratch)
    if file is None:
        raise CannotReproduce(
            f"the code of {definition.name} has changed since run {model.run_id}, which did not store it: "
            f"check out commit {recipe.commit[:12]}"
        )
    found = {one for one in file.parent.rglob("*") if one.is_file()}
    uncovered = found - files_covered(file, recipe.file_hash)  # no hash covers them, and an import may find them
    if uncovered or not code_matches(file, recipe.file_hash):
        raise CannotReproduce(
            f"the code stored with run {model.run_id} in MLflow does not have the hash in the ledger "
            f"({recipe.file_hash[:12]}), so it is not run: restore MLflow's artifacts from a backup"
        )
    return file


def _find_recipe(definition: Project, model: ModelRef) -> Recipe:
    """Finds the recipe of a model in the ledger, or in the tags of its run if it has no verdict yet."""
    for made in entries(definition.name, "verdict", newest=SEARCHED_VERDICTS):
        judgement = from_payload(Judgement, made.payload)
        if judgement.recipe and model.run_id in (judgement.serving.run_id, judgement.model.run_id):
            return judgement.recipe
    return read_recipe(model)
