"""A stored model with classes of its project file is loaded with the code it was made with, wherever that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refit import Project, Window
from refit.errors import ModelError
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.catalog import read_project
from refit_tasks.evaluation.serving_check import check_serving_of_directory
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.model_store import log_model, save_model
from refit_tasks.registry.own_code import has_own_types
from refit_tasks.registry.recipe import recipe_tags, store_code
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.registry.tracking import TrackedRun
from tests.support.registered_models import AT

FILE = """
from scaling import Scale
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from refit import Project


class Shift(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X + 1


project = Project(name="tides", kind="regression", target="height", timestamp="at", load=lambda window: None,
                  build=lambda: make_pipeline(Shift(), Scale(), LinearRegression()),
                  trusted_types=("refit_project_tides.Shift", "scaling.Scale"))
"""
SCALING = """
from sklearn.base import BaseEstimator, TransformerMixin


class Scale(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X * 2
"""
X = pd.DataFrame({"moon": np.linspace(0.0, 1.0, 40), "sun": np.linspace(1.0, 3.0, 40) ** 2})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "projects"
    folder.mkdir()
    (folder / "scaling.py").write_text(SCALING)
    (folder / "tides.py").write_text(FILE)
    return folder / "tides.py"


@pytest.fixture
def stored(file: Path, mlflow_home: Path) -> ModelRef:
    """A model of today's code, in MLflow."""
    definition, client = read_project(file), open_mlflow()
    experiment = require_experiment(client, "tides")
    run = TrackedRun(client, experiment, client.create_run(experiment).info.run_id)
    store_code(run, definition)
    for name, value in recipe_tags(definition).items():
        client.set_tag(run.id, name, value)
    uri = log_model(run, definition, fitted(definition), X)
    return ModelRef("tides", run.id, uri, SnapshotRef("tides", 0, Window(AT, AT.replace(day=2)), 1, "f" * 32), "key")


def fitted(definition: Project) -> object:
    return definition.build().fit(X, X["moon"] * 3 - X["sun"])


def change(file: Path) -> Project:
    """Another day: the classes do something else."""
    file.write_text(FILE.replace("X + 1", "X * 0"))
    (file.parent / "scaling.py").write_text(SCALING.replace("X * 2", "X * 0"))
    return read_project(file)


def test_own_types_are_told_from_installed_ones(file: Path) -> None:
    definition = read_project(file)
    assert has_own_types(definition)
    assert not has_own_types(definition.model_copy(update={"trusted_types": ("sklearn.linear_model.Ridge",)}))


def test_the_serving_check_finds_the_classes_in_a_fresh_process(file: Path, tmp_path: Path) -> None:
    definition = read_project(file)
    save_model(fitted(definition), tmp_path / "model")
    rows = X.assign(at=pd.Timestamp(AT), height=1.0)
    found = check_serving_of_directory(definition, tmp_path / "model", rows)
    assert found.fault is None
    assert found.difference == 0.0


def test_a_model_keeps_the_classes_that_it_was_made_with(file: Path, stored: ModelRef) -> None:
    expected = fetch_model(read_project(file), stored).predict(X)
    today = change(file)
    assert np.ptp(fitted(today).predict(X)) == 0.0
    np.testing.assert_array_equal(fetch_model(today, stored).predict(X), expected)


def test_code_that_was_exchanged_in_mlflow_does_not_run(file: Path, stored: ModelRef) -> None:
    kept = Path(open_mlflow().get_run(stored.run_id).info.artifact_uri.removeprefix("file://")) / "code"
    (kept / "scaling.py").write_text("raise SystemExit('this must not run')")
    with pytest.raises(ModelError, match="does not have the hash in the ledger"):
        fetch_model(change(file), stored)
