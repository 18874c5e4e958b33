"""What the page of a run shows: a state in words, a name with the reason, and artifacts that tell why."""

from __future__ import annotations

import time
from uuid import UUID

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType

from refit.errors import NoNewData
from tests.support.flow_runs import newest_runs, page_of, run_of
from tests.support.watched_project import Depot, rows_of

MLFLOW = "http://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's pages are where links point to."""
    monkeypatch.setenv("REFIT_MLFLOW_URL", MLFLOW)


def test_the_page_of_a_retrain_answers_what_happened_and_why(depot: Depot) -> None:
    rows = rows_of(80)
    wrong = rows.sample(20, random_state=0).index
    depot.deliver(pd.concat([rows.drop(wrong), rows.loc[wrong].assign(sent_at=pd.NaT)]))
    outcome = depot.retrain(40)
    run = run_of(outcome.run_id)
    assert run.name == "parcels: test"
    assert run.state.type == StateType.COMPLETED
    assert run.state.message.startswith("promoted: version 1 as the first champion, generation 1, ")
    assert "(at least +" in run.state.message
    assert run.state.data is None, "the outcome was kept in Prefect's storage"

    shown = page_of(run)
    assert set(shown) == {"parcels-contract", "parcels-card", "parcels-verdict", "parcels-mlflow"}
    assert shown["parcels-verdict"].description == "version 1: promote as the first champion"
    assert shown["parcels-card"].description == "Model card of version 1: fit to serve"
    assert "20 quarantined, most by time\\_missing of sent\\_at (20)" in shown["parcels-contract"].description
    assert shown["parcels-mlflow"].description == "version 1 of parcels in MLflow"
    version = f"({MLFLOW}/#/models/parcels/versions/1)"
    assert version in shown["parcels-verdict"].data
    assert version in shown["parcels-card"].data
    assert f"({MLFLOW}/#/runs/{outcome.challenger.model.run_id})" in shown["parcels-verdict"].data


@pytest.mark.slow
def test_a_monitor_and_its_retrain_lead_to_each_other(depot: Depot) -> None:
    first = depot.monitor(40)
    (retrain, monitor) = newest_runs(2)
    assert str(retrain.id) == first.started_run
    assert (monitor.name, retrain.name) == ("parcels: manual", f"parcels: first, decision {first.decision_id}")
    assert monitor.state.message == "retrain: first, there is no champion yet; promoted: version 1"
    assert set(page_of(monitor)) == {"parcels-contract", "parcels-drift", "parcels-retrain"}
    assert f"/runs/flow-run/{retrain.id})" in page_of(monitor)["parcels-retrain"].data
    assert f"/runs/flow-run/{monitor.id})" in page_of(retrain)["parcels-verdict"].data

    depot.monitor(46)
    (quiet,) = newest_runs(1)
    assert quiet.state.message == "wait: nothing fired"
    assert f"[version 1 of parcels]({MLFLOW}/#/models/parcels/versions/1)" in page_of(quiet)["parcels-drift"].data
    depot.monitor(46, event="the carrier has changed")
    (asked,) = [run for run in newest_runs(2) if run.parent_task_run_id is None]
    assert asked.name == "parcels: the carrier has changed"


def test_a_refused_run_fails_with_our_sentence_alone(trained: Depot) -> None:
    with pytest.raises(NoNewData) as refused:
        trained.retrain(40)
    (run,) = newest_runs(1)
    assert run.state.type == StateType.FAILED
    assert run.state.message == str(refused.value)
    assert run.state.data is None


@pytest.mark.slow
def test_a_rejection_names_the_rule_and_a_rollback_who_serves(trained: Depot) -> None:
    from refit_flows.rollback import rollback

    trained.deliver(rows_of(80, turned=40, until=54))
    outcome = trained.retrain(70, force=True)
    assert outcome.promotion is None
    told = run_of(outcome.run_id).state.message
    failed = next(reason for reason in outcome.challenger.verdict.reasons if not reason.passed)
    assert told.startswith(f"rejected: version 2, {failed.check.replace('_', ' ')} ")
    assert "limit" in told

    with pytest.raises(Exception, match="first champion"):
        rollback("parcels", reason="it is wrong")
    (refused,) = newest_runs(1)
    assert refused.name == "parcels: it is wrong"
    assert "there is none before it" in refused.state.message
    assert ":" not in refused.state.message.split("version")[0], "the class of the error is in the way"


@pytest.mark.slow
def test_the_tasks_of_a_run_are_named_by_what_they_do(depot: Depot) -> None:
    outcome = depot.retrain(40)
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(outcome.run_id)]))
    names: set[str] = set()
    for _ in range(60):  # task runs are recorded from events, a little later
        with get_client(sync_client=True) as client:
            names = {run.name for run in client.read_task_runs(flow_run_filter=chosen)}
        if "promote version 1 of parcels" in names:
            break
        time.sleep(0.5)
    assert names >= {"ingest parcels", "promote version 1 of parcels", "find the champion of parcels"}
