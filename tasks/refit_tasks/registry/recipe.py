"""A model's recipe (code, packages, seed, hyperparameters, machine), stored with and read from its run in MLflow.

Runs in MLflow can be changed by anybody. For a version from before the ledger recorded recipes, only today's code runs,
if it has the hash that the run names; whether the same model results is shown by its predictions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from refit.errors import CannotReproduce
from refit.project import Project
from refit.records.recipes import UNKNOWN, Recipe, parse_versions
from refit.records.references import ModelRef
from refit_tasks.project_code.files import code_files, code_matches
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.provenance import describe_machine, installed_versions, lock_hash, read_code_state
from refit_tasks.registry.tracking import TrackedRun

PACKAGES = "refit.packages"
"""The tag with the installed versions of the packages that a model needs; a lock file may not match them."""

_TUNED = "tuned.json"
_LOCK = "lock.txt"
_CODE = PurePosixPath("code")
"""The folder of a run's artifacts with the project file and the modules beside it."""


def store_tuned(run: TrackedRun, tuned: Mapping[str, Any]) -> None:
    """Stores the hyperparameters that tuning found, so that the same recipe can be fitted again.

    Args:
        run: The training's run.
        tuned: By name, as `set_params` takes them; empty without tuning.
    """
    run.client.log_dict(run.id, dict(tuned), _TUNED)


def read_tuned(model: ModelRef) -> dict[str, Any]:
    """Reads the hyperparameters that tuning found for a model.

    Args:
        model: The model.

    Returns:
        By name, as `set_params` takes them; empty without tuning.
    """
    from mlflow.artifacts import load_dict

    open_mlflow()
    tuned: dict[str, Any] = load_dict(f"runs:/{model.run_id}/{_TUNED}")
    return tuned


def recipe_tags(definition: Project) -> dict[str, str]:
    """Makes the tags of a training run for the current code and packages.

    Args:
        definition: The project.

    Returns:
        The tags.
    """
    return {"refit.file_hash": read_code_state(definition).file_hash, "refit.lock_hash": lock_hash()}


def recipe_changed(definition: Project, model: ModelRef) -> bool:
    """Tells whether the project's code or packages are others than those that a model was made with.

    Args:
        definition: The project as it is now.
        model: The model.

    Returns:
        Whether a fit on the very same rows might give another model.
    """
    tags = open_mlflow().get_run(model.run_id).data.tags
    recorded = tags.get("refit.file_hash", "")
    same_code = code_matches(definition.file, recorded) if definition.file else recorded == UNKNOWN
    return not same_code or tags.get("refit.lock_hash") != lock_hash()


def store_code(run: TrackedRun, definition: Project) -> None:
    """Stores the project file and the modules beside it that it imports, so that the same code can be run again.

    Args:
        run: The training's run.
        definition: The project.
    """
    if definition.file is None:
        return
    for file in code_files(definition.file):
        folder = file.parent.relative_to(definition.file.parent)
        run.client.log_artifact(run.id, str(file), (_CODE / folder).as_posix())
    run.client.set_tag(run.id, "refit.file", definition.file.name)


def fetch_code(model: ModelRef, directory: Path) -> Path | None:
    """Downloads the code that a run stored for a model. It is untrusted until its hash is checked.

    Args:
        model: The model.
        directory: The directory to download to.

    Returns:
        The project file; `None` if the run stored none.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    name = open_mlflow().get_run(model.run_id).data.tags.get("refit.file")
    if name is None:
        return None
    try:
        folder = Path(download_artifacts(f"runs:/{model.run_id}/{_CODE}", dst_path=str(directory)))
    except (MlflowException, OSError):
        return None
    file = folder / Path(name).name
    return file if file.is_file() else None


def fetch_lock(model: ModelRef) -> str:
    """Downloads the lock file that a run stored for a model.

    Args:
        model: The model.

    Returns:
        The text of the lock file; empty if the run stored none.
    """
    from mlflow.artifacts import load_text
    from mlflow.exceptions import MlflowException

    open_mlflow()
    try:
        return str(load_text(f"runs:/{model.run_id}/{_LOCK}"))
    except (MlflowException, OSError):
        return ""


def read_recipe(model: ModelRef) -> Recipe:
    """Reads the recipe of a model from its run, right after the training.

    Args:
        model: The model.

    Returns:
        The recipe, to be recorded in the ledger: unlike the tags of a run, the ledger cannot be changed.
    """
    tags = open_mlflow().get_run(model.run_id).data.tags
    names = {"file_hash": "file_hash", "lock_hash": "lock_hash", "commit": "code_commit", "dirty": "code_dirty"}
    found = {field: tags.get(f"refit.{name}", UNKNOWN) for field, name in names.items()}
    machines = {name: tags.get(f"refit.{name}", UNKNOWN) for name in ("cpu", "threads", "blas", "python")}
    kept = {"tuned": _read_tuned_text(model), "packages": tags.get(PACKAGES, "")}
    return Recipe(seed=int(tags.get("refit.seed", 0)), **found, **machines, **kept)


def _read_tuned_text(model: ModelRef) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return json.dumps(read_tuned(model), sort_keys=True)
    except (MlflowException, OSError):
        return ""


def current_recipe(definition: Project, former: Recipe | None = None) -> Recipe:
    """Describes the recipe that a model would be trained with now.

    Args:
        definition: The project.
        former: An earlier recipe: its packages are looked up again, and unchanged code keeps its hash.

    Returns:
        The recipe.
    """
    code, packages = read_code_state(definition), former.packages if former else ""
    same = former and definition.file and code_matches(definition.file, former.file_hash)
    return Recipe(
        file_hash=former.file_hash if former and same else code.file_hash,
        lock_hash=lock_hash(),
        seed=definition.training.seed,
        commit=code.commit,
        dirty=str(code.dirty),
        **describe_machine(),
        packages=installed_versions(parse_versions(packages)),
    )


_TUNED_PREFIX = "tuned."
"""The prefix of tuned hyperparameters in a run's parameters, whose texts are not enough to set them again."""


def recover_recipe(definition: Project, model: ModelRef) -> Recipe:
    """Recovers the recipe of a model that the ledger has none of.

    Args:
        definition: The project as it is now.
        model: The model.

    Returns:
        The recipe, without tuned hyperparameters.

    Raises:
        CannotReproduce: If the code has changed, or hyperparameters were tuned.
    """
    recipe = read_recipe(model)
    if definition.file is None or not code_matches(definition.file, recipe.file_hash):
        commit = "the project file as it was" if recipe.commit == UNKNOWN else f"commit {recipe.commit[:12]}"
        raise CannotReproduce(
            f"the code of {definition.name} has changed since run {model.run_id}, which did not store it: "
            f"check out {commit}, or retrain"
        )
    if any(name.startswith(_TUNED_PREFIX) for name in open_mlflow().get_run(model.run_id).data.params):
        raise CannotReproduce(
            f"run {model.run_id} of {definition.name} did not store its tuned hyperparameters in a form that can be "
            f"set again: retrain"
        )
    return replace(recipe, tuned="{}")
