"""Versions that serve as ONNX: chosen, kept and tagged when they are rehearsed, asked first, and never needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from refit.errors import ModelError
from refit.inference.onnx_choice import ONNX, SKLEARN, runtime_difference
from refit.inference.predictor import Prediction, Predictor
from refit.inference.request_rows import parse_rows
from refit.records.references import Champion
from refit_serving.rows.loaded_model import LoadedModel, load_champion
from refit_tasks.catalog import find_project
from refit_tasks.evaluation import serving_runtime as onnx_making
from refit_tasks.evaluation.serving_runtime import make_form
from refit_tasks.onnx_export.session import find_recorded_form
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.model_signature import fetch_files, logged_model_id
from tests.support.serving_home import FEATURES, Depot, entered

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One of its own, whose champion has an ONNX form."""
    with entered(tmp_path_factory.mktemp("depot")) as directory:
        yield Depot(directory, "parcels")


@pytest.fixture(scope="module")
def champion(depot: Depot) -> Champion:
    return depot.promoted("parcels", 0.0, with_form=True)


@pytest.fixture(scope="module")
def model(champion: Champion) -> LoadedModel:
    return load_champion(champion)


def asked(model: LoadedModel, rows: list[dict[str, Any]]) -> Prediction:
    return model.predictor.predict(parse_rows(model.spec, rows))


def by_sklearn(model: LoadedModel, rows: list[dict[str, Any]]) -> Prediction:
    return Predictor(model.predictor.model).predict(parse_rows(model.spec, rows))


def test_the_choice_is_on_record_and_tagged(champion: Champion) -> None:
    form = find_recorded_form("parcels", champion.version)
    assert form is not None
    assert form.name == ONNX, form.why
    tags = open_mlflow().get_model_version("parcels", str(champion.version)).tags
    assert tags["refit.serving_form"] == ONNX
    assert tags["refit.serving_form_sha256"] == form.sha256
    assert tags["refit.serving_form_why"] == form.why
    assert float(tags["refit.serving_form_faster"]) > 2
    assert float(tags["refit.serving_form_difference"]) < 1e-12
    assert find_recorded_form("parcels", 99) is None


def test_it_answers_first_and_says_the_same(model: LoadedModel, depot: Depot) -> None:
    rows = depot.rows[FEATURES].head(20).to_dict("records")
    assert model.predictor.form is not None
    received = parse_rows(model.spec, rows)
    assert received.cells is not None
    first = model.predictor.form.predict(received.cells)
    assert first is not None
    assert runtime_difference(first, by_sklearn(model, rows)) < 1e-12
    assert model.is_fast


@pytest.mark.parametrize("carrier", ["unseen", None, "nan", ""])
def test_what_it_does_not_know_is_answered_as_ever(model: LoadedModel, carrier: str | None) -> None:
    rows = [{"weight": 3.5, "distance": 400.0, "carrier": carrier}]
    assert runtime_difference(asked(model, rows), by_sklearn(model, rows)) < 1e-12


def test_a_refusal_reads_as_ever(model: LoadedModel) -> None:
    rows = [{"weight": None, "distance": 400.0, "carrier": "swift"}]
    with pytest.raises(ModelError) as theirs:
        by_sklearn(model, rows)
    with pytest.raises(ModelError) as ours:
        asked(model, rows)
    assert str(ours.value) == str(theirs.value)
    assert "'weight'" in str(ours.value)


def test_a_file_that_was_changed_or_a_setting_leaves_scikit_learn(
    champion: Champion, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("REFIT_SERVING_FORM", "scikit-learn")
        assert load_champion(champion).predictor.form is None
    form = find_recorded_form("parcels", champion.version)
    assert form is not None
    (file,) = Path(os.environ["REFIT_HOME"]).rglob(f"{form.sha256}.onnx")
    content = file.read_bytes()
    try:
        file.write_bytes(content.replace(b"swift", b"shift"))
        tampered = load_champion(champion)
    finally:
        file.write_bytes(content)
    assert tampered.predictor.form is None
    assert asked(tampered, depot.rows[FEATURES].head(2).to_dict("records")).predictions.shape == (2,)


def test_a_converter_that_hangs_is_ended_and_scikit_learn_serves(
    champion: Champion, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition, model = find_project("parcels"), champion.model
    kept = open_mlflow().list_logged_model_artifacts(logged_model_id(model), "onnx")
    with fetch_files(model) as directory:
        monkeypatch.setattr(onnx_making, "MAX_SECONDS", 0.0)
        late = make_form(definition, model, directory, depot.rows)
        strange = make_form(definition, model, directory, depot.rows.assign(weight=pd.Timestamp(0)))
    assert (late.name, strange.name) == (SKLEARN, SKLEARN)
    assert "did not finish within 0 s" in late.why
    assert "'weight' holds" in strange.why
    assert open_mlflow().list_logged_model_artifacts(logged_model_id(model), "onnx") == kept
