"""A training leaves one MLflow run that tells everything, and is done once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from refit import Project, TrainingPolicy, Window
from refit.errors import ModelError, NotEnoughData, TrainingFailed, UntrustedModel
from refit.gate.evaluations import Comparison, Evaluation
from refit.records.references import ModelRef, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from refit_infra.settings import Settings
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.registry.tracking import RUN_KEY, find_trained_model, log_evaluation
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.training.train import train

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 600
FEATURES = ("station", "temperature", "docks", "rainfall")
ALL = TrainingPolicy(window="all")

pytestmark = pytest.mark.usefixtures("mlflow_home")


def pipeline() -> BaseEstimator:
    return make_pipeline(
        make_column_transformer((OneHotEncoder(), ["station"]), remainder="passthrough"),
        HistGradientBoostingRegressor(),
    )


def bikes(build: Callable[[], BaseEstimator] = pipeline, **changes: Any) -> Project:
    said = {"kind": "regression", "target": "rentals", "features": FEATURES, "training": ALL, **changes}
    return Project(name="bikes", timestamp="at", key=("at",), load=lambda _: pd.DataFrame(), build=build, **said)


@pytest.fixture
def rows(mlflow_home: Path) -> SnapshotRef:
    """A reference to the rows of a real table."""
    rng = np.random.default_rng(0)
    temperature = rng.normal(size=HOURS)
    frame = pd.DataFrame(
        {
            "at": pd.date_range(START, periods=HOURS, freq="h").as_unit("us"),
            "station": rng.choice(["north", "south"], HOURS),
            "temperature": temperature,
            "docks": rng.integers(0, 30, HOURS),
            "rainfall": np.full(HOURS, np.nan),
            "rentals": 3 * temperature + rng.normal(size=HOURS),
            "busy": np.where(temperature > 0, "yes", "no"),
            "closed": "no",
        }
    )
    write_deltalake(f"{Settings().tables}/bikes", frame)
    window = Window(START, START + timedelta(hours=HOURS))
    return SnapshotRef("bikes", 0, window, HOURS, "f" * 32, labelled=True)


def runs(**wanted: str) -> list[Run]:
    client = open_mlflow()
    found = client.search_runs([require_experiment(client, "bikes")])
    return [run for run in found if all(run.data.tags.get(name) == value for name, value in wanted.items())]


def test_a_model_comes_back_from_mlflow(rows: SnapshotRef) -> None:
    model = train.fn(bikes(), rows, "k" * 32)
    frame = read_rows(bikes(), rows)
    features = frame[list(FEATURES)].assign(rainfall=0.0)
    expected = pipeline().set_params(histgradientboostingregressor__random_state=0).fit(features, frame["rentals"])
    np.testing.assert_array_equal(fetch_model(bikes(), model).predict(features), expected.predict(features))
    assert model == ModelRef("bikes", model.run_id, model.uri, rows, "k" * 32, model.sha256)
    assert len(model.sha256) == 64
    assert train.fn(bikes(), rows, "k" * 32) == model


def test_a_run_tells_everything(rows: SnapshotRef) -> None:
    from mlflow.data import get_source
    from mlflow.data.delta_dataset_source import DeltaDatasetSource

    model = train.fn(bikes(), rows, "k" * 32)
    client = open_mlflow()
    run = client.get_run(model.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "bikes 2026-01-26 00:00")
    assert run.data.metrics["rows"] == HOURS
    assert run.data.metrics["fit_seconds"] > 0
    assert run.data.params["features"] == "4"
    assert run.data.params["training.seed"] == "0"
    assert run.data.params["estimator.histgradientboostingregressor__learning_rate"] == "0.1"
    tags = {name.removeprefix("refit."): text for name, text in run.data.tags.items() if name.startswith("refit.")}
    assert tags.keys() == {
        *("run_key", "project", "code_commit", "code_dirty", "file_hash", "lock_hash", "seed"),
        *("fingerprint", "trained_on", "cpu", "threads", "blas", "python", "packages", "model_sha256"),
    }
    assert json.loads(tags["trained_on"])["rows"] == HOURS
    (used,) = run.inputs.dataset_inputs
    assert isinstance(get_source(used.dataset), DeltaDatasetSource)
    assert (used.dataset.digest, used.tags[0].value) == (rows.fingerprint, "training")
    assert json.loads(used.dataset.source) == {"path": f"{Settings().tables}/bikes", "delta_table_version": 0}
    assert {file.path for file in client.list_artifacts(model.run_id)} == {"lock.txt", "tuned.json", "window.json"}
    assert run.info.artifact_uri.startswith(Settings().mlflow_artifacts)


def test_the_stored_model_has_signature_and_exact_packages(rows: SnapshotRef, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    model = train.fn(bikes(), rows, "k" * 32)
    directory = Path(download_artifacts(artifact_uri=model.uri, dst_path=str(tmp_path)))
    assert (directory / "model.skops").is_file()
    pinned = (directory / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in pinned)
    assert {line.partition("==")[0] for line in pinned} >= {"scikit-learn", "skops", "numpy", "pandas"}
    stored = Model.load(directory)
    assert stored.run_id == model.run_id
    inputs = stored.signature.inputs
    assert {spec.name: spec.type.name for spec in inputs} == dict(
        zip(FEATURES, ("string", "double", "long", "double"), strict=True)
    )


def test_a_key_is_trained_once(rows: SnapshotRef) -> None:
    first = train.fn(bikes(), rows, "k" * 32)
    assert train.fn(bikes(), rows, "k" * 32) == first
    assert train.fn(bikes(), rows, "l" * 32) != first
    assert len(runs()) == 2


def test_a_run_that_was_killed_is_closed_and_not_used(rows: SnapshotRef) -> None:
    client = open_mlflow()
    experiment = require_experiment(client, "bikes")
    killed = client.create_run(experiment, tags={RUN_KEY: "k" * 32}).info.run_id
    half = client.create_logged_model(experiment, "model", source_run_id=killed)
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(killed, [LoggedModelOutput(half.model_id, 0)])
    model = train.fn(bikes(), rows, "k" * 32)
    assert model.run_id != killed
    assert client.get_run(killed).info.status == "KILLED"
    assert client.get_logged_model(half.model_id).status == LoggedModelStatus.FAILED
    assert [run.info.status for run in runs()].count("RUNNING") == 0


def test_a_run_that_was_killed_is_closed_by_a_training_on_other_rows(rows: SnapshotRef) -> None:
    client = open_mlflow()
    experiment = require_experiment(client, "bikes")
    killed = client.create_run(experiment, tags={RUN_KEY: "l" * 32}).info.run_id
    trial = client.create_run(experiment, tags={"mlflow.parentRunId": killed}).info.run_id
    foreign = client.create_run(experiment).info.run_id
    train.fn(bikes(), rows, "k" * 32)
    assert [client.get_run(each).info.status for each in (killed, trial, foreign)] == ["KILLED", "KILLED", "RUNNING"]


def test_an_empty_column_and_odd_names_do_not_stop_a_training(rows: SnapshotRef) -> None:
    definition = bikes(lambda: Pipeline([("fit (ols)", LinearRegression())]), features=("temperature", "rainfall"))
    model = train.fn(definition, rows, "k" * 32)
    params = open_mlflow().get_run(model.run_id).data.params
    assert params["estimator.fit _ols___fit_intercept"] == "True"


def test_projects_do_not_find_each_others_runs(rows: SnapshotRef) -> None:
    train.fn(bikes(), rows, "k" * 32)
    client = open_mlflow()
    assert find_trained_model(client, require_experiment(client, "trams"), "trams", "k" * 32) is None


def test_a_sliding_window_trains_on_its_rows(rows: SnapshotRef) -> None:
    model = train.fn(bikes(training=TrainingPolicy(window=timedelta(hours=200))), rows, "k" * 32)
    assert model.trained_on.window.end == rows.window.end
    assert model.trained_on.rows == 200
    assert model.trained_on.fingerprint != rows.fingerprint


def test_the_window_by_judgement_leaves_its_evidence(rows: SnapshotRef) -> None:
    model = train.fn(bikes(training=TrainingPolicy()), rows, "k" * 32)
    from mlflow.artifacts import load_dict

    evidence = load_dict(f"runs:/{model.run_id}/window.json")
    assert len(evidence["candidates"]) > 1


def broken() -> BaseEstimator:
    raise KeyError("docks")


class Moody(RegressorMixin, BaseEstimator):
    def fit(self, rows: pd.DataFrame, target: pd.Series) -> Moody:
        raise MemoryError(f"no room for {len(rows)} times {len(target)} kernels")


@pytest.mark.parametrize(
    ("build", "cause"), [(broken, KeyError), (Moody, MemoryError), (Ridge, ValueError)], ids=["build", "fit", "text"]
)
def test_an_error_of_the_project_is_a_failed_training(
    build: Callable[[], BaseEstimator], cause: type, rows: SnapshotRef, tmp_path: Path
) -> None:
    file = tmp_path / "bikes.py"
    file.write_text("")
    with pytest.raises(TrainingFailed, match=rf"{file}.*correct it") as failure:
        train.fn(bikes(build, file=file), rows, "k" * 32)
    assert isinstance(failure.value.__cause__, cause)
    assert [run.info.status for run in runs()] == ["FAILED"]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_target_of_one_value_is_explained(kind: str, rows: SnapshotRef) -> None:
    definition = bikes(LogisticRegression, kind=kind, target="closed")
    told = "the single value 'no' in all 600 training rows from 2026-01-01 to 2026-01-25"
    with pytest.raises(NotEnoughData, match=told):
        train.fn(definition, rows, "k" * 32)
    assert [run.info.status for run in runs()] == ["FAILED"]


def shift(values: pd.DataFrame) -> pd.DataFrame:
    return values + 1


def test_a_model_that_could_not_be_loaded_is_not_kept(rows: SnapshotRef) -> None:
    definition = bikes(lambda: make_pipeline(FunctionTransformer(shift), Ridge()), features=("temperature",))
    with pytest.raises(UntrustedModel, match=r"trusted_types=\('.*shift',\)"):
        train.fn(definition, rows, "k" * 32)
    assert [run.info.status for run in runs()] == ["FAILED"]
    named = definition.model_copy(update={"trusted_types": (f"{shift.__module__}.shift",)})
    model = train.fn(named, rows, "k" * 32)
    assert fetch_model(named, model).predict(read_rows(named, rows, ["temperature"])).shape == (HOURS,)


def test_a_lambda_in_the_estimator_is_explained(rows: SnapshotRef) -> None:
    definition = bikes(lambda: make_pipeline(FunctionTransformer(lambda x: x + 1), Ridge()), features=("temperature",))
    with pytest.raises(ModelError, match="<lambda>"):
        train.fn(definition, rows, "k" * 32)


def test_an_artifact_that_is_gone_is_one_sentence(rows: SnapshotRef) -> None:
    model = train.fn(bikes(), rows, "k" * 32)
    for missing in (replace(model, uri="models:/m-00000000000000000000000000000000"), replace(model, uri="file:///no")):
        with pytest.raises(
            ModelError,
            match="is missing: restore it from a backup, replace it with `refit retrain bikes --force`",
        ):
            fetch_model(bikes(), missing)


def test_a_verdict_joins_its_run(rows: SnapshotRef) -> None:
    model = train.fn(bikes(), rows, "k" * 32)
    holdout = replace(rows, window=Window(rows.window.end, rows.window.end + timedelta(days=1)), fingerprint="e" * 32)
    scores = [Evaluation(value, (value,)) for value in (0.9, 0.1, 0.8)]
    comparison = Comparison("r2", holdout, *scores)
    verdict = Verdict((Reason("floor", passed=True, value=0.9, limit=0.5, sentence="0.9 is at least 0.5"),))
    log_evaluation(model, comparison, verdict)
    log_evaluation(model, replace(comparison, champion=None), verdict)
    client: MlflowClient = open_mlflow()
    run = client.get_run(model.run_id)
    kept = {name: value for name, value in run.data.metrics.items() if name.endswith("r2")}
    assert kept == {"holdout_r2": 0.9, "baseline_r2": 0.1, "champion_r2": 0.8}
    assert {used.dataset.digest: used.tags[0].value for used in run.inputs.dataset_inputs} == {
        rows.fingerprint: "training",
        holdout.fingerprint: "holdout",
    }
    assert run.data.metrics["gate_floor"] == 0.9
    assert (run.data.tags["refit.verdict"], run.data.tags["refit.failed"]) == ("fit", "none")
    shown = client.get_logged_model(model.uri.removeprefix("models:/")).metrics
    tied = [(one.key, one.value, one.dataset_digest) for one in shown if one.dataset_name == "bikes"]
    assert set(tied) == {("holdout_r2", 0.9, holdout.fingerprint)}
    assert run.info.status == "FINISHED"
