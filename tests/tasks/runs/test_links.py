from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings
from pydantic import ValidationError

from refit.records.references import Challenger
from refit_infra.settings import Settings, public_url
from refit_tasks.ledger.record import record
from refit_tasks.runs.links import (
    find_deciding_run,
    flow_run_url,
    format_markdown_link,
    format_model_links,
    training_run_url,
    version_url,
)

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def challenger(evidence) -> Challenger:
    model, _, verdict, _ = evidence()
    return Challenger(model, 3, verdict, 7)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://ada:secret@ml.example.org:8443/mlflow/?token=secret#top", "https://ml.example.org:8443/mlflow"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
        ("sqlite:////home/mlflow.db", ""),
        ("databricks://profile", ""),
        ("file:///etc/passwd", ""),
        ("javascript://x.org/%0aalert(1)", ""),
        ("http://x.org/a b", ""),
        ("http://x.org/)[click](http://y.org", ""),
        ("http://x.org:port", ""),
        ("http://[broken", ""),
        ("http://", ""),
        ("", ""),
    ],
)
def test_only_pages_are_shown_and_never_a_password(address: str, shown: str) -> None:
    assert public_url(address) == shown


def test_the_pages_of_mlflow_are_those_of_its_server_unless_people_see_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().mlflow_pages == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.internal:5000")
    assert Settings().mlflow_pages == "http://mlflow.internal:5000"
    monkeypatch.setenv("REFIT_MLFLOW_URL", "https://ml.example.org/")
    assert Settings().mlflow_pages == "https://ml.example.org"
    assert Settings().mlflow == "http://mlflow.internal:5000"


def test_an_address_that_is_no_page_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_MLFLOW_URL", "ftp://ada:secret@ml.example.org")
    with pytest.raises(ValidationError, match="begins with http:// or https://") as refused:
        Settings()
    assert "secret" not in str(refused.value)


def test_a_version_and_its_run_are_linked_where_the_pages_are_known(
    challenger: Challenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = challenger.model.run_id
    assert format_model_links(challenger) == f"MLflow: version 3 of rentals, run {run}"
    monkeypatch.setenv("REFIT_MLFLOW_URL", "http://127.0.0.1:5000")
    assert version_url("rentals", 3) == "http://127.0.0.1:5000/#/models/rentals/versions/3"
    assert f"[version 3 of rentals]({version_url('rentals', 3)})" in format_model_links(challenger)
    assert f"({training_run_url(run)})" in format_model_links(challenger)


def test_what_is_not_ours_cannot_leave_its_place_in_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_MLFLOW_URL", "http://127.0.0.1:5000")
    assert version_url("a/../b) c", 1) == "http://127.0.0.1:5000/#/models/a%2F..%2Fb%29%20c/versions/1"
    assert format_markdown_link("a](http://evil.org)", "http://x.org") == "[a\\](http://evil.org)](http://x.org)"


def test_a_flow_run_is_linked_as_prefect_itself_links_it() -> None:
    from prefect.utilities.urls import url_for

    run = uuid4()
    with temporary_settings({PREFECT_UI_URL: "http://127.0.0.1:4200"}):
        assert flow_run_url(str(run)) == url_for("flow-run", obj_id=run)


def test_a_decision_names_the_run_of_the_monitor_and_not_the_turn_of_a_person(home) -> None:
    home.mkdir()
    run = str(uuid4())
    made = [record("rentals", "decision", {"turn": turn}, AT).id for turn in (run, run.replace("-", ""), None)]
    assert [find_deciding_run(decision) for decision in (*made, None, 99)] == [run, None, None, None, None]
