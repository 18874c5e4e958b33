"""A registered version made once more from what is on record, and held against the stored one."""

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
    """The model made once more, beside the stored one."""

    difference: float | None
    """`None` where the rows are not what they were, so that nothing was fitted."""
    rows: int
    """How many rows both were asked about."""
    code: str
    differs: tuple[RecipeChange, ...]


@define_task("reproduce version {version} of {definition.name}")
def reproduce_version(definition: Project, version: int) -> Reproduction:
    """Fits a version again as it was fitted, and compares what both say of the rows it was judged on.

    Nothing is registered or recorded.

    Args:
        definition: The project as it is now.
        version: The version's number.

    Returns:
        Whether they agree, and what is different from the record.

    Raises:
        CannotReproduce: If the ledger has no such version, or what the record needs is gone or was tampered with.
        ModelError: If the stored model cannot be loaded, or the estimator cannot be fitted.
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
    """Shows the outcome as an artifact of the flow run that this is called in.

    Args:
        found: What came of it.
    """
    rows = [(plain(one.what), plain(one.recorded, 600), plain(one.now, 600)) for one in found.differs]
    said = "is reproduced" if found.reproduced else "differs"
    head = f"version {found.version} of {found.project} {said}: largest difference {found.difference} on {found.rows:,}"
    lines = [f"## {plain(head)} rows", "", *table(("what", "recorded", "now"), rows)]
    key = artifact_key(found.project, "reproduction")
    create_markdown_artifact("\n".join(lines), key=key, description=plain(head))


def _find_judgement(definition: Project, version: int) -> Judgement:
    challenger = find_verdict_of_version(definition.name, version)
    judgement = read_judgement(challenger) if challenger else None
    if judgement is None:
        raise CannotReproduce(f"the ledger has no verdict on version {version} of {definition.name}: name another one")
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
    """Takes the hyperparameters from the ledger, since anybody can change those in MLflow."""
    tuned: dict[str, Any] = json.loads(recipe.tuned) if recipe.tuned else read_tuned(model)
    return tuned


def _find_model_change(
    judgement: Judgement, stored: Predictions, differs: tuple[RecipeChange, ...]
) -> tuple[RecipeChange, ...]:
    """Tells whether the stored model still says what it said; on another machine the last digits may differ."""
    rehearsal = judgement.rehearsal if judgement.served else judgement.comparison.evidence.rehearsal
    if rehearsal is None or not rehearsal.fingerprint or any(one.what in ("machine", "lock") for one in differs):
        return ()
    now = fingerprint_predictions(stored)
    if now == rehearsal.fingerprint:
        return ()
    return (RecipeChange("model", f"answers {rehearsal.fingerprint[:12]}", f"answers {now[:12]}"),)


def _predict(definition: Project, model: BaseEstimator, trained_on: SnapshotRef, rows: pd.DataFrame) -> Predictions:
    return predict_holdout(definition, Candidate("the model", model, trained_on), rows)
