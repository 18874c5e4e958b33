"""After the gate the recipe is fitted again on all mature rows, once, and bound to what was judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, Ridge

from refit import FloatRange, GatePolicy, Project, TrainingPolicy, Tuning, Window
from refit.gate.decide import decide
from refit.gate.evaluations import Judgement
from refit.records.references import Ingestion, SnapshotRef, Split
from refit.records.verdicts import Reason, Verdict
from refit_infra.settings import Settings
from refit_tasks.evaluation.evaluate import evaluate
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.training.final_fit import final_fit
from refit_tasks.training.train import train

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS, TRAINED = 1_000, 800

pytestmark = pytest.mark.usefixtures("mlflow_home")


class Spoilt(LinearRegression):
    """Fits well on few rows, and badly on more: what a second fit that comes to grief looks like."""

    def fit(self, X, y):  # noqa: N803
        return super().fit(X, y if len(y) <= TRAINED else -y)


class Broken(LinearRegression):
    def fit(self, X, y):  # noqa: N803
        if len(y) > TRAINED:
            raise ValueError("too many rows for me")
        return super().fit(X, y)


def bikes(build: Callable[[], BaseEstimator] = LinearRegression, window: str = "all", **training: object) -> Project:
    return Project(
        name="bikes",
        kind="regression",
        target="rentals",
        timestamp="at",
        features=("temperature",),
        load=pd.DataFrame,
        build=build,
        training=TrainingPolicy(window=window, **training),
        trusted_types=tuple(f"{__name__}.{kind.__name__}" for kind in (Spoilt, Broken)),
    )


@pytest.fixture(autouse=True)
def table(mlflow_home: Path) -> None:
    rng = np.random.default_rng(0)
    temperature = rng.normal(size=HOURS)
    frame = pd.DataFrame(
        {"at": pd.date_range(START, periods=HOURS, freq="h").as_unit("us"), "temperature": temperature}
    )
    frame["rentals"] = 3 * temperature + rng.normal(size=HOURS)
    write_deltalake(f"{Settings().tables}/bikes", frame)


def part(first: int, last: int) -> SnapshotRef:
    window = Window(START + timedelta(hours=first), START + timedelta(hours=last))
    return SnapshotRef("bikes", 0, window, last - first, "f" * 32, labelled=True)


PARTS = Split(part(100, TRAINED), part(TRAINED, HOURS))


def judged(definition: Project) -> Judgement:
    model = train.fn(definition, PARTS.train, "k" * 32)
    comparison = evaluate.fn(definition, model, None, PARTS.holdout)
    verdict = decide(comparison, definition.gate)
    assert verdict.promote
    ingestion = Ingestion("bikes", part(0, HOURS).window, 0, HOURS, HOURS, 0, HOURS, 0)
    return Judgement(model, comparison, GatePolicy(), verdict, None, ingestion)


def runs() -> int:
    client = open_mlflow()
    return len(client.search_runs([require_experiment(client, "bikes")]))


def test_the_model_that_serves_has_seen_all_mature_rows() -> None:
    before = judged(bikes())
    after = final_fit.fn(bikes(), before, PARTS)
    assert after.served is not None
    assert after.serving == after.served
    assert after.served.trained_on.window == part(100, HOURS).window
    assert after.served.trained_on.rows == 900
    assert after.rehearsal is not None
    assert after.rehearsal.difference == 0.0
    assert replace(after, served=None, bound=None, rehearsal=None) == before
    assert after.bound is not None
    assert "including the holdout" in after.bound.sentence
    rows = read_rows(bikes(), after.served.trained_on)
    expected = LinearRegression().fit(rows[["temperature"]], rows["rentals"])
    assert fetch_model(bikes(), after.served).coef_ == expected.coef_
    tags = open_mlflow().get_run(after.served.run_id).data.tags
    assert tags["refit.judged_run"] == before.model.run_id


def test_a_run_that_was_killed_afterwards_finds_it_again() -> None:
    before = judged(bikes())
    after = final_fit.fn(bikes(), before, PARTS)
    count = runs()
    again = final_fit.fn(bikes(), before, PARTS)
    assert replace(again, rehearsal=None) == replace(after, rehearsal=None)  # which takes another time each time
    assert runs() == count == 2


def test_nothing_is_fitted_after_a_rejection_or_where_the_policy_says_so() -> None:
    before = judged(bikes())
    rejected = replace(before, verdict=Verdict((Reason("floor", passed=False, value=0, limit=1, sentence="low"),)))
    assert final_fit.fn(bikes(), rejected, PARTS) == rejected
    assert final_fit.fn(bikes(refit=False), before, PARTS) == before
    assert runs() == 1


@pytest.mark.parametrize(
    ("build", "why"),
    [
        pytest.param(Spoilt, "significantly worse", marks=pytest.mark.slow),
        (Broken, "too many rows for me"),
    ],
)
def test_where_the_second_fit_comes_to_grief_the_judged_model_serves(build, why: str) -> None:
    before = judged(bikes(build))
    after = final_fit.fn(bikes(build), before, PARTS)
    assert after.served is None
    assert after.serving == before.model
    assert after.bound is not None
    assert not after.bound.passed
    assert why in after.bound.sentence


@pytest.mark.slow
def test_the_hyperparameters_are_those_that_were_judged() -> None:
    pytest.importorskip("optuna")
    definition = bikes(Ridge, tuning=Tuning(space={"alpha": FloatRange(low=5.0, high=100.0)}, trials=3))
    before = judged(definition)
    after = final_fit.fn(definition, before, PARTS)
    models = [fetch_model(definition, model) for model in (before.model, after.serving)]
    assert models[0].alpha == models[1].alpha != 1.0
    assert models[0].coef_ != models[1].coef_


def test_the_window_is_chosen_anew_since_the_holdout_may_show_a_new_world(mlflow_home: Path) -> None:
    """The relation turns just before the holdout: what was judged could not know, what serves has learned it."""
    rng, turned = np.random.default_rng(1), TRAINED - 100
    temperature = rng.normal(size=HOURS)
    frame = pd.DataFrame(
        {"at": pd.date_range(START, periods=HOURS, freq="h").as_unit("us"), "temperature": temperature}
    )
    frame["rentals"] = np.where(frame.index < turned, 3, -3) * temperature + 0.1 * rng.normal(size=HOURS)
    write_deltalake(f"{Settings().tables}/bikes", frame, mode="overwrite")
    definition, parts = bikes(window="auto"), Split(*(replace(one, version=1) for one in (PARTS.train, PARTS.holdout)))
    model = train.fn(definition, parts.train, "k" * 32)
    comparison = evaluate.fn(definition, model, None, parts.holdout)
    passed = Verdict((Reason("floor", passed=True, value=0, limit=None, sentence="no floor is set"),))
    ingestion = Ingestion("bikes", parts.train.window, 0, HOURS, HOURS, 0, HOURS, 0)
    judgement = Judgement(model, comparison, GatePolicy(), passed, None, ingestion)

    after = final_fit.fn(definition, judgement, parts)
    assert after.served is not None
    assert model.trained_on.window.start == parts.train.window.start
    assert after.served.trained_on.window.start > START + timedelta(hours=turned - 100)
    assert fetch_model(definition, model).coef_[0] > 2
    assert fetch_model(definition, after.served).coef_[0] < -1
