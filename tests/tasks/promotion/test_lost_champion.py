"""A champion that was removed in MLflow, with a real MLflow: what each command says, and both ways out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from refit.errors import ModelError, StaleChampion, StateError
from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.references import Champion, ModelRef
from refit_infra.settings import Settings
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, latest, verify_ledger
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.lost_champion import has_files, is_registered, register_again
from refit_tasks.promotion.promote import promote
from refit_tasks.promotion.rollback import roll_back
from refit_tasks.registry.challengers import find_verdict_of_version
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
from refit_tasks.registry.register import register
from refit_tasks.reporting.entry_story import describe_entry
from tests.support.registered_models import AT, Judge, with_runs

LATER = AT + timedelta(hours=1)


@pytest.fixture
def champion(mlflow_home: Path, rentals: Project, evidence: Callable[..., Any], tmp_path: Path) -> Champion:
    """A champion whose files are in MLflow."""
    model, comparison, verdict, ingestion = with_runs(evidence)("stored")
    model = replace(model, uri=store_files(model, tmp_path))
    judged = register.fn(rentals, Judgement(model, comparison, rentals.gate, verdict, None, ingestion), AT)
    return promote.fn(judged, None, AT)


def store_files(model: ModelRef, scratch: Path) -> str:
    """Stores a logged model with one file; gives its address."""
    from mlflow.entities import LoggedModelStatus

    client, directory = open_mlflow(), scratch / "files"
    directory.mkdir()
    (directory / "model.skops").write_text("the model")
    logged = client.create_logged_model(require_experiment(client, "rentals"), "model", source_run_id=model.run_id)
    client.log_model_artifacts(logged.model_id, str(directory))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return f"models:/{logged.model_id}"


def delete_version(champion: Champion) -> None:
    open_mlflow().delete_model_version(champion.model.project, str(champion.version))


def delete_files(champion: Champion) -> None:
    models = Settings().home / "mlartifacts" / "rentals" / "models"
    shutil.rmtree(models / champion.model.uri.removeprefix("models:/"))


def sentences(*, dry_run: bool = False) -> list[str]:
    return [found.sentence for found in repair_state("rentals", dry_run=dry_run) if "version" in found.sentence]


def test_a_champion_that_is_there_is_left_alone(champion: Champion, rentals: Project) -> None:
    assert (is_registered(champion), has_files(champion)) == (True, True)
    assert sentences() == []
    assert find_champion.fn(rentals, replacing=True) == champion


def test_a_deleted_version_is_registered_again_from_its_files(champion: Champion, rentals: Project) -> None:
    delete_version(champion)
    with pytest.raises(StateError, match="register it again from its files with `refit doctor rentals`, or replace it"):
        find_champion.fn(rentals)
    (planned,) = sentences(dry_run=True)
    assert current_champion("rentals") == champion
    (told,) = sentences()
    assert planned.startswith("version 1 of rentals is the champion and was missing in MLflow: registered again")
    assert "as version 2 from its files" in told
    found = find_champion.fn(rentals)
    assert found
    assert (found.version, found.generation, found.model) == (2, 2, champion.model)
    assert open_mlflow().get_model_version_by_alias("rentals", "champion").version == 2
    assert sentences() == []
    assert verify_ledger()


def test_the_record_explains_the_version_that_was_registered_again(champion: Champion) -> None:
    before = find_verdict_of_version("rentals", 1)
    delete_version(champion)
    sentences()
    after, promotion = find_verdict_of_version("rentals", 2), latest("rentals", "promotion")
    assert before
    assert after
    assert promotion
    assert (after.model, after.verdict) == (before.model, before.verdict)
    assert promotion.payload["verdict_id"] == after.verdict_id
    assert "which is the same model and was removed in MLflow" in " ".join(describe_entry(promotion))


def test_a_deleted_model_of_all_versions_is_made_again(champion: Champion, rentals: Project) -> None:
    open_mlflow().delete_registered_model("rentals")
    sentences()
    found = find_champion.fn(rentals)
    assert found
    assert found.generation == 2


def test_lost_files_are_named_with_the_way_out(champion: Champion, rentals: Project) -> None:
    delete_files(champion)
    assert find_champion.fn(rentals) == champion
    assert sentences() == [
        "the files of version 1 of rentals are missing: replace it with `refit retrain rentals --force`"
    ]
    assert current_champion("rentals") == champion


def test_without_version_and_files_a_retrain_replaces_it(champion: Champion, rentals: Project, judge: Judge) -> None:
    delete_version(champion)
    delete_files(champion)
    (told,) = sentences()
    assert "replace it with `refit retrain rentals --force`" in told
    assert find_champion.fn(rentals, replacing=True) == champion
    replaced = promote.fn(judge("next", over=champion), champion, LATER)
    assert (replaced.version, replaced.generation) == (2, 2)
    assert find_champion.fn(rentals) == replaced


def test_the_model_in_an_error_is_named_with_the_way_out(champion: Champion) -> None:
    from refit_tasks.registry.model_signature import fetch_files

    delete_files(champion)
    with (
        pytest.raises(ModelError, match="replace it with `refit retrain rentals --force`"),
        fetch_files(champion.model),
    ):
        pass


def test_a_rollback_meanwhile_is_not_overwritten(champion: Champion, judge: Judge) -> None:
    second = promote.fn(judge("next", over=champion), champion, LATER)
    delete_version(second)
    roll_back("rentals", "it is gone", "ada", LATER)
    with pytest.raises(StaleChampion, match="has changed"):
        register_again(second, LATER)
    serving = current_champion("rentals")
    assert serving
    assert (serving.version, serving.generation) == (1, 3)
    assert len(entries("rentals", "promotion")) == 2


def test_a_home_that_was_moved_is_told_to_mlflow(
    champion: Champion, rentals: Project, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_tasks.registry.model_signature import fetch_files

    moved = tmp_path / "elsewhere"
    home.rename(moved)
    monkeypatch.setenv("REFIT_HOME", str(moved))
    with (
        pytest.raises(ModelError, match="its files moved with the home: `refit doctor rentals`"),
        fetch_files(champion.model),
    ):
        pass
    (told,) = [found.sentence for found in repair_state("rentals") if found.kind == "artifacts"]
    assert told.startswith("the home was moved, and MLflow looked for the files of rentals in ")
    assert (has_files(champion), is_registered(champion)) == (True, True)
    assert find_champion.fn(rentals) == champion
    assert repair_state("rentals") == []


def test_a_deleted_run_takes_nothing_away(champion: Champion, rentals: Project) -> None:
    open_mlflow().delete_run(champion.model.run_id)
    assert find_champion.fn(rentals) == champion
    assert sentences() == []
    delete_version(champion)
    assert "registered again as version 2" in sentences()[0]


def test_a_deleted_logged_model_is_lost_and_replaced(champion: Champion, rentals: Project) -> None:
    open_mlflow().delete_logged_model(champion.model.uri.removeprefix("models:/"))
    assert not has_files(champion)
    assert "replace it with `refit retrain rentals --force`" in sentences()[0]
    assert find_champion.fn(rentals, replacing=True) == champion
