"""Challenger, champion and baseline are scored on the same rows, in the same blocks of time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import mean_absolute_error, roc_auc_score

from refit import GatePolicy, Project, Window
from refit.errors import LeakyHoldout, ModelError, ProjectError
from refit.gate.decide import decide
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_infra.settings import Settings
from refit_tasks.evaluation.evaluate import evaluate
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.model_store import log_model
from refit_tasks.registry.tracking import open_run
from refit_tasks.storage.snapshot_rows import read_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
TRAINED, HOURS = 300, 500
TRAIN = Window(START, START + timedelta(hours=TRAINED))
HOLDOUT = Window(TRAIN.end, START + timedelta(hours=HOURS))

pytestmark = pytest.mark.usefixtures("mlflow_home")


def bikes(target: str = "rentals", kind: str = "regression", **changes: Any) -> Project:
    said = {"features": ("temperature", "wind"), **changes}
    return Project(
        name="bikes",
        kind=kind,
        target=target,
        timestamp="at",
        key=("station", "at"),
        load=pd.DataFrame,
        build=LinearRegression,
        **said,
    )


@pytest.fixture(autouse=True)
def table(mlflow_home: Path) -> pd.DataFrame:
    """A real table of two stations an hour; its key does not sort it by time."""
    rng = np.random.default_rng(0)
    rows = 2 * HOURS
    temperature = rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "at": pd.date_range(START, periods=HOURS, freq="h").as_unit("us").repeat(2),
            "station": ["south", "north"] * HOURS,
            "temperature": temperature,
            "wind": rng.normal(size=rows),
            "rentals": 3 * temperature + rng.normal(size=rows) + np.arange(rows) / 500,
        }
    )
    frame["busy"] = np.where(frame["rentals"] > 1, "yes", "no")
    frame["level"] = np.where(np.arange(rows) % 9 == 8, "closed", frame["busy"]).astype(object)
    frame.loc[frame["at"] < HOLDOUT.start, "level"] = frame["busy"]
    write_deltalake(f"{Settings().tables}/bikes", frame)
    return frame


def rows_in(window: Window) -> SnapshotRef:
    hours = int(window.length.total_seconds()) // 3600
    return SnapshotRef("bikes", 0, window, 2 * hours, "f" * 32, labelled=True)


@pytest.fixture
def store() -> Callable[..., ModelRef]:
    """Fits an estimator on the training rows and keeps it in MLflow."""

    def stored(definition: Project, estimator: BaseEstimator, features: tuple[str, ...] = ()) -> ModelRef:
        client, rows = open_mlflow(), rows_in(TRAIN)
        frame = read_rows(definition, rows)
        columns = frame[list(features or definition.features)]
        estimator.fit(columns, frame[definition.target])
        with open_run(client, require_experiment(client, "bikes"), "run", {}) as run:
            return ModelRef("bikes", run.id, log_model(run, definition, estimator, columns.head()), rows, "key")

    return stored


def as_champion(model: ModelRef) -> Champion:
    return Champion(model, version=3, generation=2, since=START)


def in_time(definition: Project) -> pd.DataFrame:
    return read_rows(definition, rows_in(HOLDOUT)).sort_values("at", kind="stable", ignore_index=True)


def test_all_three_are_scored_on_the_same_rows_and_blocks(store: Callable[..., ModelRef]) -> None:
    definition, rows = bikes(), in_time(bikes())
    weak = store(definition, LinearRegression(), ("wind",))
    comparison = evaluate.fn(definition, store(definition, LinearRegression()), as_champion(weak), rows_in(HOLDOUT))
    training = read_rows(definition, rows_in(TRAIN))
    model = LinearRegression().fit(training[["temperature", "wind"]], training["rentals"])
    errors = (rows["rentals"] - model.predict(rows[["temperature", "wind"]])).abs()
    trivial = mean_absolute_error(rows["rentals"], np.full(len(rows), training["rentals"].mean()))
    assert comparison.metric == "neg_mean_absolute_error"
    assert comparison.challenger.value == pytest.approx(-errors.mean())
    assert comparison.baseline.value == pytest.approx(-trivial)
    assert comparison.champion.value < -2 < comparison.challenger.value
    assert comparison.challenger.blocks == pytest.approx(
        [-errors[start : start + 50].mean() for start in range(0, 400, 50)]
    )
    assert len(comparison.champion.blocks) == len(comparison.baseline.blocks) == 8
    assert comparison.holdout == rows_in(HOLDOUT)


def test_text_classes_are_scored_by_auc_and_the_baseline_has_one_half(store: Callable[..., ModelRef]) -> None:
    definition = bikes("busy", "classification")
    comparison = evaluate.fn(definition, store(definition, LogisticRegression()), None, rows_in(HOLDOUT))
    training, rows = read_rows(definition, rows_in(TRAIN)), in_time(definition)
    model = LogisticRegression().fit(training[["temperature", "wind"]], training["busy"])
    expected = roc_auc_score(rows["busy"] == "yes", model.predict_proba(rows[["temperature", "wind"]])[:, 1])
    assert comparison.metric == "roc_auc"
    assert comparison.challenger.value == pytest.approx(expected)
    assert comparison.baseline.value == 0.5
    assert comparison.champion is None


def test_a_class_that_appears_in_the_holdout_changes_the_metric(store: Callable[..., ModelRef]) -> None:
    definition = bikes("level", "classification")
    comparison = evaluate.fn(definition, store(definition, LogisticRegression()), None, rows_in(HOLDOUT))
    assert comparison.metric == "balanced_accuracy"
    assert 1 / 3 < comparison.challenger.value < 2 / 3
    assert comparison.baseline.value == pytest.approx(1 / 3)


def test_rows_that_the_champion_was_trained_on_judge_nobody() -> None:
    fair = ModelRef("bikes", "run", "models:/none", rows_in(TRAIN), "key")
    late = replace(fair, trained_on=rows_in(Window(START, HOLDOUT.start + timedelta(hours=1))))
    told = "champion version 3 of bikes .*2026-01-13 13:00.*2026-01-13 12:00.*later --as-of"
    with pytest.raises(LeakyHoldout, match=told):
        evaluate.fn(bikes(), fair, as_champion(late), rows_in(HOLDOUT))


def test_a_challenger_that_has_seen_the_rows_is_rejected_for_it(store: Callable[..., ModelRef]) -> None:
    late = rows_in(Window(START, HOLDOUT.start + timedelta(hours=1)))
    challenger = replace(store(bikes(), LinearRegression()), trained_on=late)
    verdict = decide(evaluate.fn(bikes(), challenger, None, rows_in(HOLDOUT)), GatePolicy())
    assert [reason.check for reason in verdict.reasons if not reason.passed] == ["unseen_rows"]


def test_a_champion_keeps_to_the_columns_it_was_fitted_on(store: Callable[..., ModelRef]) -> None:
    old = store(bikes(features=("wind",)), LinearRegression())
    new = store(bikes(), LinearRegression())
    comparison = evaluate.fn(bikes(), new, as_champion(old), rows_in(HOLDOUT))
    assert comparison.champion.value < comparison.challenger.value


def test_a_champion_whose_column_is_gone_is_an_error(store: Callable[..., ModelRef], table: pd.DataFrame) -> None:
    old, new = store(bikes(), LinearRegression()), store(bikes(features=("wind",)), LinearRegression())
    write_deltalake(
        f"{Settings().tables}/bikes", table.drop(columns="temperature"), mode="overwrite", schema_mode="overwrite"
    )
    holdout = replace(rows_in(HOLDOUT), version=1)
    with pytest.raises(ModelError, match="champion version 3 of bikes cannot be judged: feature 'temperature' is not"):
        evaluate.fn(bikes(features=("wind",)), new, as_champion(old), holdout)


def test_a_champion_that_is_gone_is_an_error(store: Callable[..., ModelRef], mlflow_home: Path) -> None:
    champion = store(bikes(), LinearRegression())
    shutil.rmtree(mlflow_home / "mlartifacts")
    challenger = store(bikes(), LinearRegression())
    with pytest.raises(ModelError, match="champion version 3 of bikes cannot be judged: "):
        evaluate.fn(bikes(), challenger, as_champion(champion), rows_in(HOLDOUT))


def test_the_judged_model_stands_in_for_a_champion_that_is_gone(store: Callable[..., ModelRef]) -> None:
    judged, challenger = store(bikes(), LinearRegression(), ("wind",)), store(bikes(), LinearRegression())
    served = replace(judged, uri="models:/m-gone", trained_on=replace(judged.trained_on, rows=601))
    champion = replace(as_champion(served), judged=judged)
    comparison = evaluate.fn(bikes(), challenger, champion, rows_in(HOLDOUT))
    assert comparison.stand_in
    assert comparison.champion.value < comparison.challenger.value
    with pytest.raises(ModelError, match="is missing: restore it from a backup, replace it with `refit retrain"):
        evaluate.fn(bikes(), challenger, as_champion(served), rows_in(HOLDOUT))


def test_missing_values_that_a_model_cannot_take_are_an_error(
    store: Callable[..., ModelRef], table: pd.DataFrame
) -> None:
    challenger = store(bikes(), LinearRegression())
    write_deltalake(f"{Settings().tables}/bikes", table.assign(wind=np.nan), mode="overwrite")
    with pytest.raises(ModelError, match="the challenger of bikes cannot be judged: the model cannot predict"):
        evaluate.fn(bikes(), challenger, None, replace(rows_in(HOLDOUT), version=1))


def test_a_metric_that_nobody_knows_is_an_error(store: Callable[..., ModelRef]) -> None:
    definition = bikes(gate=GatePolicy(metric="mae"))
    with pytest.raises(ProjectError, match="'mae', which is not a scikit-learn scorer"):
        evaluate.fn(definition, store(definition, LinearRegression()), None, rows_in(HOLDOUT))
