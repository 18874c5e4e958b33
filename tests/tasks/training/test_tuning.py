"""A search finds better parameters, shows every trial, and goes on where it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from refit import Choice, FloatRange, IntRange, Project, TrainingPolicy, Tuning
from refit.errors import BrokenProject, NotEnoughData, ProjectError, TrainingFailed
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.tracking import open_run
from refit_tasks.training.tuning import split_trial_rows, tune

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = Tuning(space={"max_depth": IntRange(low=1, high=12), "criterion": Choice(options=("squared_error",))}, trials=6)


def tree() -> BaseEstimator:
    return DecisionTreeRegressor(max_depth=2)


def hills(build: Callable[[], BaseEstimator] = tree, **changes: Any) -> Project:
    said = {"kind": "regression", "target": "height", "timestamp": "at", **changes}
    return Project(name="hills", load=lambda _: pd.DataFrame(), build=build, **said)


def landscape() -> pd.DataFrame:
    """Heights that a tree of depth 2 is too coarse for."""
    x = np.random.default_rng(0).random(600)
    at = pd.date_range(START, periods=600, freq="h").as_unit("us")
    return pd.DataFrame({"at": at, "x": x, "height": np.sin(12 * x)})


def search(definition: Project, space: Tuning = SPACE, key: str = "key") -> tuple[dict[str, Any], str]:
    client = open_mlflow()
    with open_run(client, require_experiment(client, "hills"), "training", {}) as run:
        return tune(definition, space, landscape(), run, key), run.id


def trials(parent: str) -> list[Run]:
    client = open_mlflow()
    return client.search_runs(
        [require_experiment(client, "hills")],
        f"tags.`mlflow.parentRunId` = '{parent}'",
        order_by=["attributes.start_time ASC"],
    )


@pytest.mark.usefixtures("mlflow_home")
def test_a_search_finds_better_parameters_than_the_defaults() -> None:
    best, parent = search(hills())
    shown = trials(parent)
    assert len(shown) == SPACE.trials
    assert all(run.info.status == "FINISHED" for run in shown)
    assert shown[0].data.params == {"tuned.max_depth": "2", "tuned.criterion": "squared_error"}
    score = "tuning_neg_mean_absolute_error"
    scores = {int(run.data.params["tuned.max_depth"]): run.data.metrics[score] for run in shown}
    assert best["max_depth"] == max(scores, key=lambda depth: scores[depth])
    assert scores[best["max_depth"]] > 0.5 * scores[2]  # errors are negative: less than half of the default's


@pytest.mark.usefixtures("mlflow_home")
def test_a_finished_search_is_not_done_again() -> None:
    best, first = search(hills())
    again, second = search(hills())
    assert again == best
    assert (len(trials(first)), len(trials(second))) == (0, SPACE.trials)
    other, third = search(hills(), key="other")
    assert (other, len(trials(third))) == (best, SPACE.trials)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 4])
def test_a_killed_search_ends_as_if_it_had_not_been(at: int, mlflow_home: Path) -> None:
    straight, _ = search(hills(), key="straight")
    code = (
        "import importlib.util, os, signal, sys\n"
        f"spec = importlib.util.spec_from_file_location('rows', {__file__!r})\n"
        "rows = importlib.util.module_from_spec(spec)\n"
        "sys.modules['rows'] = rows\n"
        "spec.loader.exec_module(rows)\n"
        f"rows.search(rows.hills(lambda: rows.Deadly(at={at}, max_depth=2)))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    resumed, parent = search(hills())
    assert resumed == straight
    states = [run.info.status for run in trials(parent)]
    assert (states.count("FINISHED"), states.count("KILLED")) == (SPACE.trials, 1)


class Deadly(DecisionTreeRegressor):
    """Kills its process in the fit of that number."""

    fits = 0

    def __init__(self, at: int = 0, max_depth: int | None = None, criterion: str = "squared_error") -> None:
        super().__init__(max_depth=max_depth, criterion=criterion)
        self.at = at

    def fit(self, rows: pd.DataFrame, target: pd.Series) -> Deadly:
        Deadly.fits += 1
        if Deadly.fits == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(rows, target)


class Picky(RegressorMixin, BaseEstimator):
    """Accepts some depths only."""

    def __init__(self, max_depth: int = 3) -> None:
        self.max_depth = max_depth

    def fit(self, rows: pd.DataFrame, target: pd.Series) -> Picky:
        if self.max_depth != 3:
            raise ValueError(f"a depth of {self.max_depth} does not go with this loss")
        self.n_features_in_, self.mean_ = rows.shape[1], target.mean()
        return self

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.full(len(rows), self.mean_)


DEPTH = Tuning(space={"max_depth": IntRange(low=3, high=9)}, trials=4)


@pytest.mark.usefixtures("mlflow_home")
def test_a_trial_that_fails_does_not_end_the_search() -> None:
    best, parent = search(hills(Picky), DEPTH)
    assert best == {"max_depth": 3}
    assert {run.info.status for run in trials(parent)} == {"FINISHED", "FAILED"}


@pytest.mark.usefixtures("mlflow_home")
def test_a_search_without_a_score_says_why() -> None:
    nothing = Tuning(space={"max_depth": IntRange(low=4, high=9)}, trials=2)
    with pytest.raises(TrainingFailed, match=r"no trial of hills could be scored .*does not go with this loss"):
        search(hills(Picky), nothing)


def test_a_parameter_that_the_estimator_lacks_is_named(mlflow_home: Path) -> None:
    with pytest.raises(BrokenProject, match=r"names the unknown parameters 'depth'"):
        search(hills(), Tuning(space={"depth": IntRange(low=1, high=2)}))


def test_without_optuna_the_extra_is_named(mlflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ProjectError, match=r"pip install 'refit-ml\[tune\]'"):
        search(hills())


@pytest.mark.usefixtures("mlflow_home")
def test_every_kind_of_dimension_is_searched() -> None:
    space = Tuning(
        space={
            "alpha": FloatRange(low=1e-4, high=10, log=True),
            "solver": Choice(options=("auto", "cholesky")),
            "fit_intercept": Choice(options=(True, False)),
            "max_iter": Choice(options=(None, 50)),
        },
        trials=3,
    )
    best, parent = search(hills(Ridge), space)
    assert best.keys() == space.space.keys()
    assert trials(parent)[0].data.params == {
        "tuned.alpha": "1.0",
        "tuned.solver": "auto",
        "tuned.fit_intercept": "True",
        "tuned.max_iter": "None",
    }


def test_trials_are_judged_a_label_delay_after_their_rows() -> None:
    definition = hills(label_delay=timedelta(hours=5), training=TrainingPolicy(holdout_share=0.1))
    rows = landscape().sample(frac=1, random_state=0)
    parts = split_trial_rows(definition, rows)
    assert len(parts.score) == 60
    assert parts.score["at"].min() - parts.fit["at"].max() == timedelta(hours=6)
    assert len(parts.fit) == 535


def test_too_few_rows_for_trials_are_counted() -> None:
    with pytest.raises(NotEnoughData, match="has 0 rows to fit trials on"):
        split_trial_rows(hills(label_delay=timedelta(days=90)), landscape())
