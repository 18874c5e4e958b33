"""What starts a retrain remotely: a real server, a deployment on it, and keys that start each retrain once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from refit import Project, Window
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.decisions import Decision
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit_tasks.decision.decide import RecordedDecision, decide_and_record, record_outcome
from refit_tasks.decision.trigger import build_idempotency_key, build_parameters, start_deployment

AT = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def evidence() -> Evidence:
    return Evidence("rentals", AT, 0, Window(AT - WEEK, AT), WEEK, 10, 1, None, 10, AT)


@pytest.fixture
def deployed(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A deployment of the flow `retrain`, which nobody serves, and a process that runs as a deployment itself."""
    from refit_flows.retrain import retrain

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))
    return str(retrain.to_deployment("rentals").apply())


def decide(rentals: Project, evidence: Evidence, at: datetime = AT) -> RecordedDecision:
    recorded = decide_and_record.fn(rentals, evidence, at)
    assert recorded.decision.action == "retrain"
    return recorded


def test_one_decision_starts_one_run_however_often_it_is_repeated(
    deployed: str, rentals: Project, evidence: Evidence
) -> None:
    recorded = decide(rentals, evidence)
    asked = build_parameters(evidence, recorded, resumed=False)
    started = {start_deployment.fn(evidence, asked) for _ in range(3)}
    assert len(started) == 1
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(started.pop())
    assert str(run.deployment_id) == deployed
    assert run.parent_task_run_id is None
    assert (run.parameters["project"], run.parameters["decision"]) == ("rentals", recorded.id)
    assert datetime.fromisoformat(run.parameters["as_of"]) == AT


def test_a_retrain_that_has_ended_frees_its_name(deployed: str, rentals: Project, evidence: Evidence) -> None:
    """More labels may lead to another retrain of the same champion and window, and a killed one is resumed."""
    first = decide(rentals, evidence)
    before = start_deployment.fn(evidence, build_parameters(evidence, first, resumed=False))
    record_outcome("rentals", RetrainRecord(first.id, "failed", 1.0), AT)
    after = start_deployment.fn(evidence, build_parameters(evidence, first, resumed=True))
    assert after != before
    assert start_deployment.fn(evidence, build_parameters(evidence, first, resumed=True)) == after


def test_it_runs_here_where_there_is_no_deployment(
    prefect_server: None, rentals: Project, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = build_parameters(evidence, decide(rentals, evidence), resumed=False)
    assert start_deployment.fn(evidence, asked) is None
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))
    assert start_deployment.fn(replace(evidence, project="unknown"), asked) is None


def test_keys_tell_deployments_champions_windows_and_tries_apart(evidence: Evidence) -> None:
    keys = [
        build_idempotency_key("retrain/rentals", evidence),
        build_idempotency_key("retrain/others", evidence),
        build_idempotency_key("retrain/rentals", replace(evidence, project="others")),
        build_idempotency_key("retrain/rentals", replace(evidence, generation=1)),
        build_idempotency_key("retrain/rentals", replace(evidence, window=Window(AT - WEEK, AT + WEEK))),
        build_idempotency_key("retrain/rentals", evidence, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert build_idempotency_key("retrain/rentals", replace(evidence, as_of=AT + WEEK, table_version=9)) == keys[0]


def test_what_a_person_forced_is_forced_when_it_is_gone_on_with(rentals: Project, evidence: Evidence) -> None:
    asked = replace(evidence, request=RetrainRequest("manual", "test", force=True))
    parameters = build_parameters(asked, decide(rentals, asked), resumed=True)
    assert parameters["force"]
    assert "resumed" in parameters["reason"]
    assert not build_parameters(evidence, RecordedDecision(1, Decision("retrain", "first", ())), resumed=False)["force"]
