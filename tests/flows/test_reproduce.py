"""A version is made once more from the record: the same where the record is whole, else with the cause named."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from refit.errors import CannotReproduce, UntrustedModel
from refit.records.recipes import Reproduction
from tests.support.watched_project import START, Depot, rows_of


@pytest.fixture
def depot(trained: Depot) -> Depot:
    """A depot with one champion, trained at day 40."""
    trained.deliver(rows_of(50))
    return trained


def reproduced(version: int = 1) -> Reproduction:
    from refit_flows.reproduce import reproduce

    return reproduce("parcels", version)


def artifacts_of(version: int) -> Path:
    """The directory of the version's run in MLflow's store."""
    from refit_tasks.registry.challengers import find_verdict_of_version
    from refit_tasks.registry.mlflow_client import open_mlflow

    run = open_mlflow().get_run(find_verdict_of_version("parcels", version).model.run_id)
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_the_same_model_comes_out_whatever_became_of_the_table(depot: Depot, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    from refit_infra.settings import Settings
    from refit_tasks.catalog import find_project
    from refit_tasks.ingestion.label_join import join_labels

    found = reproduced()
    assert (found.reproduced, found.difference, found.used_code, found.differs) == (True, 0.0, "today's", ())

    depot.monitor(46)
    rows = rows_of(50)
    turned = rows.assign(late=1 - rows["late"])[rows["sent_at"] < START + timedelta(days=20)]
    turned[["parcel", "late"]].to_csv(tmp_path / "labels.csv", index=False)
    join_labels(find_project("parcels"), tmp_path / "labels.csv")
    table = DeltaTable(f"{Settings().tables}/parcels")
    table.optimize.compact()
    table.vacuum(dry_run=False)
    again = reproduced()
    assert (again.reproduced, again.difference, again.rows) == (True, 0.0, found.rows)


def test_changed_code_is_replaced_by_what_was_recorded_unless_that_was_tampered_with(depot: Depot) -> None:
    file = depot.projects / "parcels.py"
    file.write_text(file.read_text().replace("LogisticRegression()", "LogisticRegression(C=1e-4)"))
    found = reproduced()
    assert (found.reproduced, found.difference, found.used_code) == (True, 0.0, "recorded")
    assert [one.what for one in found.differs] == ["code"]

    tuned = artifacts_of(1) / "tuned.json"
    tuned.write_text('{"logisticregression__C": 1e-9}')
    assert reproduced().difference == 0.0, "hyperparameters are taken from the ledger"

    kept = artifacts_of(1) / "code" / "parcels.py"
    kept.write_text(kept.read_text() + "\nprint('hello')\n")
    with pytest.raises(CannotReproduce, match="does not have the hash in the ledger"):
        reproduced()
    shutil.rmtree(kept.parent)
    with pytest.raises(CannotReproduce, match="did not store it: check out commit"):
        reproduced()


def test_rows_that_are_gone_are_named(depot: Depot) -> None:
    from refit_infra.settings import Settings

    for file in Path(Settings().tables, "parcels").glob("*.parquet"):
        file.unlink()
    with pytest.raises(CannotReproduce, match="data: version 0 of the table parcels cannot be read"):
        reproduced()


def test_a_stored_model_that_was_exchanged_is_named(depot: Depot) -> None:
    from sklearn.linear_model import LogisticRegression

    from refit_tasks.registry.challengers import find_verdict_of_version
    from refit_tasks.registry.model_signature import fetch_files
    from refit_tasks.registry.model_store import save_model

    rows = rows_of(50)
    other = LogisticRegression(C=1e-5).fit(rows[["weight", "distance"]], rows["late"].astype(int))
    from mlflow.tracking import MlflowClient

    model = find_verdict_of_version("parcels", 1).model
    with fetch_files(model):
        pass
    stored = MlflowClient().get_logged_model(model.uri.removeprefix("models:/")).artifact_location
    save_model(other, Path(stored.removeprefix("file://")))
    with pytest.raises(UntrustedModel, match="are not those that were judged"):
        reproduced()


def test_every_version_has_a_card(depot: Depot) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from refit_tasks.catalog import find_project
    from refit_tasks.reporting.model_card import render_version_card

    version, card = render_version_card(find_project("parcels"), None)
    assert version == 1
    assert (artifacts_of(1) / "card.md").read_text() == card
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["parcels-card"])))
    (shown,) = (one.data for one in found if card in one.data)
    assert shown.startswith(card)
    assert "](data:image/png;base64," in shown.removeprefix(card)
    heads = [line.removeprefix("## ").partition(" (")[0] for line in card.splitlines() if line.startswith("## ")]
    assert heads == ["Data", "Features", "Scores", "Slices", "Serving", "Verdict", "Lineage", "Limits"]
    assert "There was no champion to compare with." in card
    assert "refitted on all mature rows" in card
    with pytest.raises(CannotReproduce, match="no verdict on version 9"):
        reproduced(9)
