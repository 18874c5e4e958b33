"""The recipe of a version from before the ledger kept recipes, as far as its run in MLflow tells.

Anybody can change what a run says. So no code of its is run, only today's where that is the one it names; and whether
the same model comes out is for its answers to say.
"""

from __future__ import annotations

from dataclasses import replace

from refit.errors import CannotReproduce
from refit.project import Project
from refit.records.recipes import UNKNOWN, Recipe
from refit.records.references import ModelRef
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.provenance import hash_of
from refit_tasks.registry.recipe import recipe_of

_TUNED = "tuned."
"""How a run names hyperparameters that were found; by their texts alone nobody can set them again."""


def former_recipe(definition: Project, model: ModelRef) -> Recipe:
    """Reads what a model was made with.

    Args:
        definition: The project as it is now.
        model: The model.

    Returns:
        The recipe; without tuned hyperparameters, since there were none.

    Raises:
        CannotReproduce: If the code is another one by now, or hyperparameters were tuned.
    """
    recipe = recipe_of(model)
    if definition.file is None or hash_of(definition.file) != recipe.file_hash:
        commit = "the project file as it was" if recipe.commit == UNKNOWN else f"commit {recipe.commit[:12]}"
        raise CannotReproduce(
            f"{definition.name} has other code by now than run {model.run_id}, which is from before runs kept theirs: "
            f"check out {commit}, or retrain"
        )
    if any(name.startswith(_TUNED) for name in open_mlflow().get_run(model.run_id).data.params):
        raise CannotReproduce(
            f"run {model.run_id} of {definition.name} is from before runs kept tuned hyperparameters so that they can "
            f"be set again: retrain"
        )
    return replace(recipe, tuned="{}")
