"""A registered version made once more from what is on record, and held against the stored one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from sklearn.base import BaseEstimator

from refit.comparing import Contender, answers_of
from refit.errors import CannotReproduce
from refit.gate.serving import AGREEMENT
from refit.judgements import Judgement
from refit.ledger import from_payload
from refit.models import ModelRef
from refit.predictions import Predictions
from refit.project import Project
from refit.recipes import Cause, Recipe, Reproduction, changes
from refit.snapshots import SnapshotRef
from tasks.catalog import read_project
from tasks.fit import fit
from tasks.ledger import entry
from tasks.markdown import plain, table
from tasks.model_store import fetch_model
from tasks.provenance import hash_of, lock_text
from tasks.recipe import kept_code, kept_lock, recipe_now, tuned_of
from tasks.recorded_rows import held_out, rows_on_record
from tasks.register import verdict_of_version
from tasks.rehearse import fingerprint_of

log = logging.getLogger(__name__)


class _Made(NamedTuple):
    """The model made once more, beside the stored one."""

    answers: Predictions | None
    """`None` where the rows are not what they were."""
    stored: Predictions
    code: str
    differs: tuple[Cause, ...]


@task(cache_policy=NO_CACHE)
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
    started, judgement = perf_counter(), _judgement_of(definition, version)
    if judgement.recipe is None:
        raise CannotReproduce(
            f"version {version} of {definition.name} was registered before recipes were recorded: retrain"
        )
    holdout = held_out(definition, judgement.comparison.holdout)
    made = _made(definition, judgement, judgement.recipe, holdout)
    difference = _difference(made.answers, made.stored) if made.answers else None
    same = difference is not None and difference <= AGREEMENT
    log.info("%s: version %d %s", definition.name, version, "is reproduced" if same else "differs")
    return Reproduction(
        project=definition.name,
        version=version,
        reproduced=same,
        difference=difference,
        rows=len(holdout),
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
    key = f"{found.project.replace('_', '-')}-reproduction"
    create_markdown_artifact("\n".join(lines), key=key, description=plain(head))


def _judgement_of(definition: Project, version: int) -> Judgement:
    challenger = verdict_of_version(definition.name, version)
    judged = entry(challenger.verdict_id) if challenger else None
    if judged is None:
        raise CannotReproduce(f"the ledger has no verdict on version {version} of {definition.name}: name another one")
    return from_payload(Judgement, judged.payload)


def _made(definition: Project, judgement: Judgement, recipe: Recipe, holdout: pd.DataFrame) -> _Made:
    model = judgement.serving
    with _as_it_was(definition, model, recipe) as (then, code):
        differs = changes(recipe, recipe_now(definition), (kept_lock(model), lock_text()))
        rows, data = rows_on_record(then, model.trained_on)
        stored = _asked(then, fetch_model(then, model), model.trained_on, holdout)
        differs = (*data, *_model(judgement, stored, differs), *differs)
        if rows is None:
            return _Made(None, stored, code, differs)
        fitted = fit(then, rows, tuned_of(model))
        answers = _asked(then, fitted, model.trained_on, holdout)
        answers.raw("predict")  # while the module that the estimator comes from is there
        return _Made(answers, stored, code, differs)


@contextmanager
def _as_it_was(definition: Project, model: ModelRef, recipe: Recipe) -> Iterator[tuple[Project, str]]:
    """Gives the project as it was when the model was made: today's file if it is the same, else the recorded one."""
    if definition.file is not None and hash_of(definition.file) == recipe.file_hash:
        yield definition, "today's"
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = kept_code(model, Path(scratch))
        if file is None:
            raise CannotReproduce(
                f"the code of {definition.name} has changed, and run {model.run_id} has not kept what it was: "
                f"check out commit {recipe.commit[:12]}"
            )
        if hash_of(file) != recipe.file_hash:
            raise CannotReproduce(
                f"the code that run {model.run_id} keeps in MLflow is not the one that the ledger names "
                f"({recipe.file_hash[:12]}), so it is not run: restore MLflow's artifacts from a backup"
            )
        yield read_project(file), "recorded"


def _model(judgement: Judgement, stored: Predictions, differs: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Tells whether the stored model still says what it said; on another machine the last digits may differ."""
    rehearsal = judgement.rehearsal if judgement.served else judgement.comparison.evidence.rehearsal
    if rehearsal is None or not rehearsal.fingerprint or any(one.what in ("machine", "lock") for one in differs):
        return ()
    now = fingerprint_of(stored)
    if now == rehearsal.fingerprint:
        return ()
    return (Cause("model", f"answers {rehearsal.fingerprint[:12]}", f"answers {now[:12]}"),)


def _asked(definition: Project, model: BaseEstimator, trained_on: SnapshotRef, rows: pd.DataFrame) -> Predictions:
    return answers_of(definition, Contender("the model", model, trained_on), rows)


def _difference(one: Predictions, other: Predictions) -> float:
    method = "predict_proba" if hasattr(one, "predict_proba") and hasattr(other, "predict_proba") else "predict"
    mine, theirs = one.raw(method), other.raw(method)
    if mine.shape != theirs.shape:
        return float("inf")
    if mine.dtype.kind not in "fiub" or theirs.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(mine, theirs) else float("inf")
    return float(np.nan_to_num(np.abs(mine.astype(float) - theirs.astype(float)), nan=np.inf).max(initial=0.0))
