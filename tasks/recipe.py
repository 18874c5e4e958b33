"""A model's recipe: what it was made with beside its rows, as its run in MLflow tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refit.models import ModelRef
from refit.project import Project
from tasks.mlflow_store import open_mlflow
from tasks.provenance import code_state, lock_hash
from tasks.tracking import TrackedRun

_TUNED = "tuned.json"


def keep_tuned(run: TrackedRun, tuned: Mapping[str, Any]) -> None:
    """Stores the hyperparameters that tuning found, so that the same recipe can be fitted again.

    Args:
        run: The training's run.
        tuned: By name, as `set_params` takes them; empty without tuning.
    """
    run.client.log_dict(run.id, dict(tuned), _TUNED)


def tuned_of(model: ModelRef) -> dict[str, Any]:
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
    return {"refit.file_hash": code_state(definition).file_hash, "refit.lock_hash": lock_hash()}


def recipe_changed(definition: Project, model: ModelRef) -> bool:
    """Tells whether the project's code or packages are others than those that a model was made with.

    Args:
        definition: The project as it is now.
        model: The model.

    Returns:
        Whether a fit on the very same rows might give another model.
    """
    tags = open_mlflow().get_run(model.run_id).data.tags
    return any(tags.get(name) != value for name, value in recipe_tags(definition).items())
