"""The main job from end to end, on a real Prefect server, real Delta tables, a real ledger and a real MLflow store."""

from __future__ import annotations

import shutil
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refit.errors import ContractViolation, LeakyHoldout, ModelError, NoNewData, NotEnoughData, StateError
from refit.inference.onnx_choice import ServingForm
from refit.results.flows import RetrainOutcome
from refit_infra.settings import Settings
from tests.support.states import States, emptied

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = textwrap.dedent('''
    """Parcels of a small shop."""

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from refit import Project, TrainingPolicy
    from refit.sources import parquet


    def build():
        return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH))


    project = Project(
        name="parcels", kind="classification", target="late", timestamp="sent_at", key=("parcel",),
        load=parquet("FILE", timestamp="sent_at"), build=build, training=TrainingPolicy(window="all"),
    )
''')


def rows_of(days: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = days * 50
    weight, distance = rng.gamma(2, 2, n), rng.uniform(1, 500, n)
    return pd.DataFrame(
        {
            "parcel": np.arange(n),
            "sent_at": pd.Timestamp(START) + pd.to_timedelta(np.arange(n) * 24 * 60 // 50, unit="min"),
            "weight": weight,
            "distance": distance,
            "late": (distance / 250 + 0.2 * weight + rng.normal(0, 0.7, n) > 1.8).astype(int),
        }
    )


class Shop:
    """A project file, the table it loads from, and the flow over both."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "parcels.parquet"
        self.project = directory / "projects" / "parcels.py"
        self.project.parent.mkdir()
        self.write_project("1.0")
        rows_of(100).to_parquet(self.file)

    def write_project(self, strength: str) -> None:
        text = PROJECT.replace("FILE", str(self.file)).replace("STRENGTH", strength)
        self.project.write_text(text)

    def retrain(self, day: int, **options: bool) -> RetrainOutcome:
        from refit_flows.retrain import retrain

        return retrain("parcels", as_of=START + timedelta(days=day), reason="test", **options)


@pytest.fixture
def shop(place: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(emptied(place))
    monkeypatch.setenv("REFIT_PROJECTS", str(shop.project.parent))
    return shop


@pytest.fixture
def trained(shop: Shop, states: States) -> Shop:
    """A shop whose first champion was made on day 40."""
    states.begin("shop on day 40", lambda: shop.retrain(40))
    return shop


def form_of(version: int) -> ServingForm | None:
    from refit_tasks.onnx_export.session import find_recorded_form

    return find_recorded_form("parcels", version)


def test_first_champion_then_judged_challenger(shop: Shop) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import entries, verify_ledger
    from refit_tasks.registry.mlflow_client import open_mlflow

    first = shop.retrain(40)
    assert first.promotion is not None
    assert (first.challenger.version, first.generation) == (1, 1)
    assert first.compared_with is None
    second = shop.retrain(60)
    assert second.compared_with is not None
    assert second.compared_with.version == 1
    assert {reason.check for reason in second.challenger.verdict.reasons} >= {"floor", "beats_baseline"}

    serving = current_champion("parcels")
    assert serving is not None
    assert serving.version == (2 if second.promotion else 1)
    client = open_mlflow()
    assert int(client.get_model_version_by_alias("parcels", "champion").version) == serving.version
    assert int(client.get_model_version_by_alias("parcels", "challenger").version) == 2
    kinds = [entry.kind for entry in entries("parcels")]
    assert kinds.count("verdict") == 2
    assert verify_ledger() == len(kinds)


@pytest.mark.slow
def test_the_same_rows_are_judged_once(trained: Shop) -> None:
    with pytest.raises(NoNewData, match="--force"):
        trained.retrain(40)
    assert trained.retrain(40, force=True).challenger.version == 2


@pytest.mark.slow
def test_the_model_that_serves_has_seen_the_holdout_and_the_record_tells_it_from_the_judged_one(shop: Shop) -> None:
    first = shop.retrain(40)
    said = first.as_json()["challenger"]
    assert said["refitted"]
    assert said["bound"]["passed"]
    assert said["judged_trained_on"]["end"] == said["judged_on"]["start"]
    assert said["trained_on"]["end"] == said["judged_on"]["end"]
    assert said["trained_on"]["rows"] == said["judged_trained_on"]["rows"] + said["judged_on"]["rows"]
    second = shop.retrain(60)
    assert second.compared_with == first.promotion
    judged_on = second.as_json()["challenger"]["judged_on"]
    assert judged_on["start"] >= said["trained_on"]["end"]
    assert judged_on["rows"] <= 50 * 20 // 2


def test_soon_after_a_retrain_there_is_too_little_to_judge_on(trained: Shop) -> None:
    with pytest.raises(NotEnoughData, match="50 mature rows that champion version 1 was not trained on, 50 fewer"):
        trained.retrain(41)
    again = trained.retrain(41, force=True)
    assert again.judgement is not None
    assert again.judgement.comparison.stand_in


@pytest.mark.slow
def test_a_kill_after_the_second_fit_is_completed_by_the_next_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_flows import retrain
    from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retrain, "register", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.retrain(40)
    client = open_mlflow()
    before = {run.info.run_id for run in client.search_runs([require_experiment(client, "parcels")])}
    outcome = shop.retrain(40)
    assert outcome.promotion is not None
    assert {run.info.run_id for run in client.search_runs([require_experiment(client, "parcels")])} == before
    assert outcome.challenger.model.run_id in before


def test_changed_code_is_a_new_challenger(trained: Shop) -> None:
    trained.write_project("0.1")
    assert trained.retrain(40).challenger.version == 2


def test_a_kill_after_the_promotion_leaves_the_contract_to_the_next_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_flows import retrain
    from refit_tasks.ledger.record import entries

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def recorded() -> list[str]:
        return [entry.kind for entry in entries("parcels") if entry.kind not in ("decision", "retrain")]

    with monkeypatch.context() as patch:
        patch.setattr(retrain, "renew_contract", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.retrain(40)
    assert recorded() == ["promotion", "verdict", "contract"]
    with pytest.raises(NoNewData):
        shop.retrain(40)
    assert recorded() == ["contract", "promotion", "verdict", "contract"]


@pytest.mark.slow
def test_looking_back_behind_the_champion_is_refused(shop: Shop) -> None:
    shop.retrain(60)
    with pytest.raises(LeakyHoldout, match="as-of"):
        shop.retrain(40)


def test_a_broken_contract_trains_nothing(trained: Shop) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.registry.mlflow_client import open_mlflow

    rows_of(100).drop(columns="late").to_parquet(trained.file)
    with pytest.raises(ContractViolation, match="late"):
        trained.retrain(60)
    client = open_mlflow()
    assert len(client.search_model_versions("name='parcels'")) == 1
    serving = current_champion("parcels")
    assert serving is not None
    assert serving.generation == 1


def test_too_few_rows_is_a_sentence(shop: Shop) -> None:
    rows_of(1).to_parquet(shop.file)
    with pytest.raises(NotEnoughData):
        shop.retrain(40)


def test_a_worse_challenger_is_rejected(trained: Shop) -> None:
    rows = rows_of(100)
    misread = rows["sent_at"].between(START + timedelta(days=40), START + timedelta(days=79))
    rows.assign(late=rows["late"].where(~misread, 1 - rows["late"])).to_parquet(trained.file)
    outcome = trained.retrain(100)
    assert not outcome.challenger.verdict.promote
    assert outcome.promotion is None
    assert outcome.generation == 1
    assert (form_of(1) is None, form_of(2) is None) == (False, True), "one is chosen for what may serve"
    failed = {reason.check for reason in outcome.challenger.verdict.reasons if not reason.passed}
    assert "not_worse_than_champion" in failed


def test_a_verdict_artifact_is_published(shop: Shop) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    shop.retrain(40)
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["parcels-verdict"])))
    assert any("promote as the first champion" in str(artifact.data) for artifact in found)


def test_nothing_lands_outside_home(shop: Shop, home: Path, tmp_path: Path, place: Path) -> None:
    shop.retrain(40)
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {path.name for path in place.iterdir()} == {"parcels.parquet", "projects"}
    assert {path.name for path in Settings().staging.iterdir()} <= {"lock", "scratch"}
    assert {path.name for path in (Settings().staging / "scratch").iterdir()} <= {"lock"}


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["version", "files", "both"])
def test_a_forced_retrain_replaces_a_champion_that_mlflow_lost(trained: Shop, gone: str) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.registry.mlflow_client import open_mlflow

    lost = current_champion("parcels")
    assert lost
    if gone != "files":
        open_mlflow().delete_model_version("parcels", str(lost.version))
    if gone != "version":
        shutil.rmtree(Settings().home / "mlartifacts" / "parcels" / "models")
    with pytest.raises((StateError, ModelError), match="`refit retrain parcels --force`"):
        trained.retrain(100)
    outcome = trained.retrain(100, force=True)
    assert outcome.judgement
    assert (outcome.judgement.comparison.champion is None) == (gone != "version")
    assert outcome.compared_with == lost
    assert trained.retrain(100, force=True).challenger.version != lost.version  # and it goes on
    if outcome.promotion:
        assert outcome.promotion.generation == lost.generation + 1
