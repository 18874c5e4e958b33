"""Training: one fit per run key, logged as one MLflow run.

A run key stands for rows, code and settings; what was judged with the same key is not trained again unless forced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from sklearn.base import BaseEstimator

from refit.errors import NoNewData
from refit.modelling.preparation import fill_empty_columns
from refit.modelling.training_window import WindowChoice, choose_window
from refit.project import Project
from refit.records.references import Champion, ModelRef, SnapshotRef, Split
from refit.windows import Window, format_window
from refit_tasks.model_files.model_hash import hash_model_files
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.model_signature import fetch_files
from refit_tasks.registry.model_store import log_model
from refit_tasks.registry.provenance import describe_machine, pin_requirements, read_code_state, read_lock, run_key
from refit_tasks.registry.recipe import PACKAGES, recipe_changed, recipe_tags, store_code, store_tuned
from refit_tasks.registry.register import find_verdict, is_settled, lost_promotion_race
from refit_tasks.registry.source_tags import flow_run_tags, source_tags
from refit_tasks.registry.tracking import (
    MODEL_HASH,
    RUN_KEY,
    TRAINED_ON,
    TrackedRun,
    find_trained_model,
    log_rows,
    log_values,
    open_run,
    reference_json,
)
from refit_tasks.storage.snapshot_rows import open_at_version, read_rows
from refit_tasks.storage.snapshots import restrict
from refit_tasks.training.fit import fit, translate_estimator_errors
from refit_tasks.training.tuning import tune

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

SIGNATURE_ROWS = 100
"""The number of rows that the model's signature is inferred from."""


@define_task("train {definition.name} on {rows.rows} rows at most")
def train(definition: Project, rows: SnapshotRef, key: str) -> ModelRef:
    """Trains the project's estimator on the window of its training policy, unless a run with this key already has.

    Args:
        definition: The project.
        rows: The labelled rows that it may be trained on.
        key: The run key.

    Returns:
        The model, in MLflow.

    Raises:
        NotEnoughData: If the target has a single value, or tuning leaves too few rows to fit on.
        TrainingFailed: If the estimator cannot be built or fitted.
        UntrustedModel: If the fitted model holds a type outside the allow-list.
    """
    name = run_name(definition, rows.window)
    return train_once(definition, key, name, lambda run: select_window_and_fit(definition, rows, key, run))


def run_name(definition: Project, window: Window) -> str:
    """Names an MLflow run by its project and the end of its rows.

    Args:
        definition: The project.
        window: The event times of the rows that may be trained on.

    Returns:
        The name, such as `bike_demand 2026-03-01 14:00`.
    """
    return f"{definition.name} {window.end:%Y-%m-%d %H:%M}"


def train_once(definition: Project, key: str, name: str, training: Callable[[TrackedRun], ModelRef]) -> ModelRef:
    """Trains a model in an MLflow run of its own, unless a finished run has this key.

    Args:
        definition: The project.
        key: The run key.
        name: The name of the run.
        training: Fits a model and logs it in the given run.

    Returns:
        The model, in MLflow.
    """
    client = open_mlflow()
    experiment = require_experiment(client, definition.name)
    trained = find_trained_model(client, experiment, definition.name, key)
    if trained:
        with_project(log, definition.name).info("run %s already trained this model", trained.run_id)
        return trained
    with open_run(client, experiment, name, _lineage_tags(definition, key)) as run:
        return training(run)


def select_window_and_fit(
    definition: Project, rows: SnapshotRef, key: str, run: TrackedRun, tuned: Mapping[str, Any] | None = None
) -> ModelRef:
    """Chooses training window and hyperparameters by the training policy, fits the estimator and logs the model.

    Args:
        definition: The project.
        rows: The labelled rows that it may be trained on.
        key: The run key.
        run: The open MLflow run.
        tuned: Known hyperparameters; without them they are tuned if the policy says so.

    Returns:
        The model, in MLflow.

    Raises:
        NotEnoughData: If the target has a single value, or tuning leaves too few rows to fit on.
        TrainingFailed: If the estimator cannot be built or fitted.
        UntrustedModel: If the fitted model holds a type outside the allow-list.
    """
    table = open_at_version(definition, rows.version)
    frame = read_rows(definition, rows, table=table)
    with translate_estimator_errors(definition):
        choice = choose_window(definition, frame)
    run.client.log_dict(run.id, asdict(choice), "window.json")
    chosen, frame = _apply_choice(definition, rows, frame, choice, table)
    tuning = definition.training.tuning
    if tuned is None:
        tuned = tune(definition, tuning, frame, run, key) if tuning else {}
    return _fit_and_log(definition, _FitInput(chosen, frame, tuned, key), run)


class _FitInput(NamedTuple):
    """The input of one fit."""

    rows: SnapshotRef
    """The reference to the training rows."""
    frame: pd.DataFrame
    """The training rows."""
    tuned: Mapping[str, Any]
    """The hyperparameters to set on the estimator."""
    key: str
    """The run key."""


def _fit_and_log(definition: Project, training: _FitInput, run: TrackedRun) -> ModelRef:
    rows, frame, tuned, key = training
    start = perf_counter()
    model = fit(definition, frame, tuned)
    seconds = perf_counter() - start
    with_project(log, definition.name).info(
        "fitted on %s rows from %s in %.2f s", f"{rows.rows:,}", format_window(rows.window), seconds
    )
    tags = {**_snapshot_tags(rows), PACKAGES: "\n".join(pin_requirements(model))}
    log_values(run, _params(definition, training, model), {"rows": rows.rows, "fit_seconds": seconds}, tags)
    log_rows(run, rows, "training")
    store_tuned(run, tuned)
    store_code(run, definition)
    run.client.log_text(run.id, read_lock(), "lock.txt")
    sample = fill_empty_columns(frame, definition.features_of(frame.columns)).head(SIGNATURE_ROWS)
    logged = ModelRef(definition.name, run.id, log_model(run, definition, model, sample), rows, key)
    with fetch_files(logged) as directory:
        found = hash_model_files(directory)
    log_values(run, tags={MODEL_HASH: found})
    return replace(logged, sha256=found)


def _apply_choice(
    definition: Project, rows: SnapshotRef, frame: pd.DataFrame, choice: WindowChoice, table: DeltaTable
) -> tuple[SnapshotRef, pd.DataFrame]:
    window = Window(choice.window.start, rows.window.end)
    inside = window.holds(frame[definition.timestamp])
    if inside.all():
        return rows, frame
    return restrict(definition, rows, window, rows.labelled, table), frame[inside]


def _lineage_tags(definition: Project, key: str) -> dict[str, str]:
    code = read_code_state(definition)
    return {
        RUN_KEY: key,
        "refit.project": definition.name,
        "refit.code_commit": code.commit,
        "refit.code_dirty": str(code.dirty),
        **recipe_tags(definition),
        "refit.seed": str(definition.training.seed),
        **{f"refit.{name}": text for name, text in describe_machine().items()},
        **source_tags(definition, code),
        **flow_run_tags(),
    }


def _snapshot_tags(chosen: SnapshotRef) -> dict[str, str]:
    return {TRAINED_ON: reference_json(chosen), "refit.fingerprint": chosen.fingerprint}


def _params(definition: Project, training: _FitInput, model: BaseEstimator) -> dict[str, Any]:
    window = training.rows.window
    return {
        "window_start": window.start.isoformat(),
        "window_end": window.end.isoformat(),
        "features": len(definition.features_of(training.frame.columns)),
        **{f"training.{name}": value for name, value in definition.training.model_dump(exclude={"tuning"}).items()},
        **{f"tuned.{name}": value for name, value in training.tuned.items()},
        **{f"estimator.{name}": value for name, value in model.get_params(deep=True).items()},
    }


def may_reuse_holdout(definition: Project, champion: Champion | None, force: bool) -> bool:
    """Tells whether a challenger may be judged on rows that the champion was judged on before.

    Args:
        definition: The project.
        champion: The serving model, if any.
        force: Whether `--force` was given.

    Returns:
        Whether it was, or the project's code or packages have changed since the champion was trained.
    """
    return force or (champion is not None and recipe_changed(definition, champion.model))


def open_run_key(definition: Project, parts: Split, force: bool) -> str:
    """Finds a run key without a final verdict: a new one, or that of a run that was killed before its promotion.

    Args:
        definition: The project.
        parts: The training rows and the holdout.
        force: Whether to train again if these rows have a final verdict.

    Returns:
        The run key; a new one if the last challenger lost the promotion to another one.

    Raises:
        NoNewData: If rows, code and settings have a final verdict and `force` is not set.
    """
    for attempt in count():
        key = run_key(definition, parts, attempt)
        verdict = find_verdict(definition, key)
        if verdict is None or not is_settled(verdict):
            return key
        if not force and not lost_promotion_race(verdict):
            raise NoNewData(
                f"{definition.name} has no new data since version {verdict.version} was judged: wait for rows, "
                f"give a later --as-of, or add --force to train again on the same rows"
            )
    raise AssertionError("count() is infinite")
