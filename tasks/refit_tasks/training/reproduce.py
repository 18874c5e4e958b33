"""Reproduction: a registered version is trained again from its recorded inputs and compared with the stored model."""

from __future__ import annotations

import json
import logging
from time import perf_counter
from typing import Any, NamedTuple

import pandas as pd
from prefect.artifacts import create_markdown_artifact
from sklearn.base import BaseEstimator

from refit.errors import CannotReproduce
from refit.gate.comparison import Candidate, predict_holdout
from refit.gate.evaluations import Judgement
from refit.gate.serving_parity import AGREEMENT
from refit.modelling.predictions import Predictions, prediction_distance
from refit.project import Project
from refit.records.recipes import Recipe, RecipeChange, Reproduction, find_changes
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.evaluation.serving_check import fingerprint_predictions
from refit_tasks.prefect_tasks import define_task
from refit_tasks.presentation.markdown import artifact_key, plain, table
from refit_tasks.project_log import with_project
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.registry.provenance import read_lock
from refit_tasks.registry.recipe import current_recipe, fetch_lock, read_tuned, recover_recipe
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.training.fit import fit
from refit_tasks.training.recorded_inputs import (
    load_recorded_project,
    read_recorded_holdout,
    read_recorded_training_rows,
)

log = logging.getLogger(__name__)


class _RebuiltModel(NamedTuple):
    """The comparison of the retrained model with the stored one."""

    difference: float | None
    """The largest difference of their predictions; `None` if the training rows have changed and none was fitted."""
    rows: int
    """The number of rows that both predicted."""
    code: str
    """`today's` or `recorded`: the project code that was used."""
    differs: tuple[RecipeChange, ...]
    """The inputs that are not the recorded ones."""


@define_task("reproduce version {version} of {definition.name}")
def reproduce_version(definition: Project, version: int) -> Reproduction:
    """Trains a version again from its recorded inputs, and compares both models' predictions on its holdout.

    Nothing is registered or recorded.

    Args:
        definition: The project as it is now.
        version: The number of the version.

    Returns:
        Whether the predictions agree, and which inputs differ from the recorded ones.

    Raises:
        CannotReproduce: If the ledger has no verdict on the version, or a recorded input is missing or was changed.
        ModelError: If the stored model cannot be loaded or the estimator cannot be fitted.
    """
    started, judgement = perf_counter(), _find_judgement(definition, version)
    made = _rebuild(definition, judgement, judgement.recipe or recover_recipe(definition, judgement.serving))
    same = made.difference is not None and made.difference <= AGREEMENT
    with_project(log, definition.name).info("version %d %s", version, "is reproduced" if same else "differs")
    return Reproduction(
        project=definition.name,
        version=version,
        reproduced=same,
        difference=made.difference,
        rows=made.rows,
        used_code=made.code,
        differs=made.differs,
        seconds=perf_counter() - started,
    )


def publish_reproduction(found: Reproduction) -> None:
    """Publishes the result as a Markdown artifact of the current flow run.

    Args:
        found: The result.
    """
    rows = [(plain(one.what), plain(one.recorded, 600), plain(one.now, 600)) for one in found.differs]
    result = "is reproduced" if found.reproduced else "differs"
    version = f"version {found.version} of {found.project}"
    head = f"{version} {result}: largest difference {found.difference} on {found.rows:,}"
    lines = [f"## {plain(head)} rows", "", *table(("what", "recorded", "now"), rows)]
    key = artifact_key(found.project, "reproduction")
    create_markdown_artifact("\n".join(lines), key=key, description=plain(head))


def _find_judgement(definition: Project, version: int) -> Judgement:
    challenger = find_verdict_of_version(definition.name, version)
    judgement = read_judgement(challenger) if challenger else None
    if judgement is None:
        raise CannotReproduce(
            f"the ledger has no verdict on version {version} of {definition.name}: choose a version that "
            f"`refit log {definition.name}` lists"
        )
    return judgement


def _rebuild(definition: Project, judgement: Judgement, recipe: Recipe) -> _RebuiltModel:
    model, ref = judgement.serving, judgement.comparison.holdout
    with load_recorded_project(definition, model, recipe) as (then, code):
        holdout, replaced = read_recorded_holdout(then, ref)
        stored = _predict(then, fetch_model(then, model), model.trained_on, holdout)
        surroundings = find_changes(recipe, current_recipe(definition, recipe), (fetch_lock(model), read_lock()))
        other = () if replaced else _find_model_change(judgement, stored, surroundings)
        rows, data = read_recorded_training_rows(then, model.trained_on)
        differs = (*replaced, *data, *other, *surroundings)
        if rows is None:
            return _RebuiltModel(None, len(holdout), code, differs)
        again = _predict(then, fit(then, rows, _read_hyperparameters(recipe, model)), model.trained_on, holdout)
        return _RebuiltModel(prediction_distance(again, stored), len(holdout), code, differs)


def _read_hyperparameters(recipe: Recipe, model: ModelRef) -> dict[str, Any]:
    """Reads the hyperparameters from the ledger if it has them: unlike MLflow's, they cannot be edited."""
    tuned: dict[str, Any] = json.loads(recipe.tuned) if recipe.tuned else read_tuned(model)
    return tuned


def _find_model_change(
    judgement: Judgement, stored: Predictions, differs: tuple[RecipeChange, ...]
) -> tuple[RecipeChange, ...]:
    """Compares the stored model's predictions with its serving check; on another machine the last digits may differ."""
    rehearsal = judgement.rehearsal if judgement.served else judgement.comparison.evidence.rehearsal
    if rehearsal is None or not rehearsal.fingerprint or any(one.what in ("machine", "lock") for one in differs):
        return ()
    now = fingerprint_predictions(stored)
    if now == rehearsal.fingerprint:
        return ()
    return (RecipeChange("model", f"predictions {rehearsal.fingerprint[:12]}", f"predictions {now[:12]}"),)


def _predict(definition: Project, model: BaseEstimator, trained_on: SnapshotRef, rows: pd.DataFrame) -> Predictions:
    return predict_holdout(definition, Candidate("the model", model, trained_on), rows)
