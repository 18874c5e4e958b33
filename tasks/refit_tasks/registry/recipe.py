"""A model's recipe: what it was made with beside its rows, as its run in MLflow tells.

The recipe of a version from before the ledger kept recipes, as far as its run in MLflow tells.

Anybody can change what a run says. So no code of its is run, only today's where that is the one it names; and whether
the same model comes out is for its answers to say.
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
"""The tag that names the packages a model needs, as they were installed: a lock file only says what should be."""

_TUNED = "tuned.json"
_LOCK = "lock.txt"
_CODE = PurePosixPath("code")
"""The folder of a run that keeps the project file and what lies beside it."""


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
    """Says what code and packages a model is made with now.

    Args:
        definition: The project.

    Returns:
        The tags of a training's run that tell.
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
    """Brings the code that a model was made with; nobody has checked yet that it is what it was.

    Args:
        model: The model.
        directory: Where to put it.

    Returns:
        The project file; `None` where the run has kept none.
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
    """Reads the packages that a model was made with.

    Args:
        model: The model.

    Returns:
        The text of the lock; empty where the run has kept none.
    """
    from mlflow.artifacts import load_text
    from mlflow.exceptions import MlflowException

    open_mlflow()
    try:
        return str(load_text(f"runs:/{model.run_id}/{_LOCK}"))
    except (MlflowException, OSError):
        return ""


def read_recipe(model: ModelRef) -> Recipe:
    """Reads what a model was made with from its run, right after it was made.

    Args:
        model: The model.

    Returns:
        The recipe, for the ledger: the run's tags can be changed by anybody, the ledger cannot.
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
    """Says what a model would be made with now.

    Args:
        definition: The project.
        former: A former recipe: its packages are looked up again, and code that has its hash gets the same one.

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
"""How a run names hyperparameters that were found; by their texts alone nobody can set them again."""


def recover_recipe(definition: Project, model: ModelRef) -> Recipe:
    """Reads what a model was made with.

    Args:
        definition: The project as it is now.
        model: The model.

    Returns:
        The recipe; without tuned hyperparameters, since there were none.

    Raises:
        CannotReproduce: If the code is another one by now, or hyperparameters were tuned.
    """
    recipe = read_recipe(model)
    if definition.file is None or not code_matches(definition.file, recipe.file_hash):
        commit = "the project file as it was" if recipe.commit == UNKNOWN else f"commit {recipe.commit[:12]}"
        raise CannotReproduce(
            f"{definition.name} has other code by now than run {model.run_id}, which is from before runs kept theirs: "
            f"check out {commit}, or retrain"
        )
    if any(name.startswith(_TUNED_PREFIX) for name in open_mlflow().get_run(model.run_id).data.params):
        raise CannotReproduce(
            f"run {model.run_id} of {definition.name} is from before runs kept tuned hyperparameters so that they can "
            f"be set again: retrain"
        )
    return replace(recipe, tuned="{}")
