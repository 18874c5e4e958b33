"""What was judged is what is loaded: files that were replaced, renamed or added in MLflow are found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sklearn.linear_model import LogisticRegression

from refit.errors import UntrustedModel
from refit.records.references import Challenger, Champion, ModelRef
from refit_tasks.model_files.model_hash import FORM_DIRECTORY
from refit_tasks.registry.model_store import FILE
from tests.support.serving_home import AT, FEATURES, Depot, entered


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    with entered(tmp_path_factory.mktemp("depot")) as directory:
        yield Depot(directory, "parcels")


@pytest.fixture(scope="module")
def judged(depot: Depot) -> Challenger:
    return depot.fitted("parcels", 0.0)


@pytest.fixture
def files(judged: Challenger) -> Iterator[Path]:
    """The files in MLflow's store, which are put back after the test."""
    from mlflow.artifacts import download_artifacts

    place = Path(urlsplit(download_artifacts(artifact_uri=judged.model.uri)).path)
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    yield place
    for file in place.rglob("*"):
        if file.is_file() and file not in before:
            file.unlink()
    for file, content in before.items():
        file.write_bytes(content)


@pytest.fixture(autouse=True)
def home(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_HOME", str(depot.home))
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))


def replace_model(files: Path) -> None:
    """Writes another model of allowed types, which predicts the opposite."""
    from skops.io import dump, load

    from refit_tasks.registry.model_store import TRUSTED

    model = load(files / FILE, trusted=[*TRUSTED])
    last: LogisticRegression = model[-1]
    last.coef_, last.intercept_ = -last.coef_, -last.intercept_
    dump(model, files / FILE)


CHANGES: dict[str, Callable[[Path], object]] = {
    "another model of allowed types": replace_model,
    "other kinds of features": lambda files: (files / "MLmodel").write_text(
        (files / "MLmodel").read_text().replace("number", "text").replace("refit.kinds", "refit.kind5")
    ),
    "a file more": lambda files: (files / "sitecustomize.py").write_text("import os"),
    "a byte more": lambda files: (files / FILE).write_bytes((files / FILE).read_bytes() + b"\0"),
    "another name": lambda files: (files / "requirements.txt").rename(files / "requirements.text"),
}


def load_everywhere(model: ModelRef) -> Iterator[Callable[[], object]]:
    """Gives the ways by which serving, scoring, a retrain and a reproduction come to a model."""
    from refit_serving.rows.loaded_model import load_champion
    from refit_tasks.catalog import find_project
    from refit_tasks.evaluation.serving_check import check_serving_on_rows
    from refit_tasks.registry.stored_model import fetch_model
    from tests.support.serving_home import parcels

    definition = find_project("parcels")
    yield lambda: load_champion(Champion(model, 1, 1, AT))
    yield lambda: fetch_model(definition, model)
    yield lambda: check_serving_on_rows(definition, model, parcels().head())


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_files_that_were_changed_after_the_verdict_are_not_loaded(
    judged: Challenger, files: Path, change: Callable[[Path], object]
) -> None:
    change(files)
    for load in load_everywhere(judged.model):
        with pytest.raises(UntrustedModel, match=r"not those that were judged .*refit rollback parcels"):
            load()


def test_the_files_that_were_judged_are_loaded_and_so_is_a_model_of_a_former_release(
    judged: Challenger, files: Path, depot: Depot
) -> None:
    from dataclasses import replace

    from refit.records.ledger import as_payload, from_payload
    from refit_tasks.catalog import find_project
    from refit_tasks.ledger.record import entry_once
    from refit_tasks.registry.stored_model import fetch_model

    (files / FORM_DIRECTORY).mkdir()
    (files / FORM_DIRECTORY / "later.onnx").write_bytes(b"a form has a hash of its own")
    definition, rows = find_project("parcels"), depot.rows[FEATURES].head()
    assert len(fetch_model(definition, judged.model).predict(rows)) == len(rows)
    recorded = entry_once("parcels", "verdict", judged.model.run_key)
    assert recorded is not None
    assert recorded.payload["model"]["sha256"] == judged.model.sha256

    former = {name: value for name, value in as_payload(judged.model).items() if name != "sha256"}
    assert from_payload(ModelRef, former) == replace(judged.model, sha256="")
    assert len(fetch_model(definition, from_payload(ModelRef, former)).predict(rows)) == len(rows)
