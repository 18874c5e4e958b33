"""What people hear of real runs, through a real webhook; and what becomes of the run when that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from refit.errors import LoadFailed
from tests.support.watched_project import START, Depot, recorded, refit, rows_of
from tests.support.webhook import SECRET, Webhook, webhook

POLICY = """
    performance=None, probe=None, drift=DriftPolicy(then="alert")),
    notifications=NotificationPolicy(blocks=("custom-webhook/team",)
"""


@pytest.fixture
def depot(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = Depot(tmp_path, POLICY)
    file = depot.projects / "parcels.py"
    file.write_text(file.read_text().replace("from refit import", "from refit import DriftPolicy, NotificationPolicy,"))
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    return depot


@pytest.fixture
def hook(depot: Depot) -> Iterator[Webhook]:
    with webhook() as running:
        running.save_block("team")
        yield running


@pytest.mark.slow
def test_people_hear_of_promotions_a_rollback_an_alert_and_a_failure_once_each(
    depot: Depot, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_flows.rollback import rollback
    from refit_tasks.ledger.record import verify_ledger
    from refit_tasks.notifications import messages as telling
    from refit_tasks.promotion.rollback import roll_back

    first = depot.retrain(40)
    assert hook.subjects == ["parcels: version 1 promoted as the first champion"]
    body = hook.bodies[0]["body"]
    assert f"Passed all {len(first.challenger.verdict.reasons)} rules of the gate." in body
    assert "challenger " in body
    assert "trivial baseline " in body
    assert "Started as: test" in body
    assert f"Details: refit why {first.challenger.verdict_id}" in body
    assert body.endswith(f"/runs/flow-run/{first.run_id}")

    second = depot.retrain(60)
    assert second.promotion is not None
    rollback("parcels", reason="customers <!channel> complained")
    assert hook.subjects[1:] == [
        "parcels: version 2 promoted over version 1",
        "parcels: rolled back, version 1 serves again in place of version 2",
    ]
    assert "Reason: customers <\u200b!channel> complained" in hook.bodies[2]["body"]

    # The command line needs no Prefect for a rollback, so that the next monitor tells of it.
    monkeypatch.setattr(telling, "MISSED_BETWEEN", (timedelta(0), timedelta(days=1)))
    roll_back("parcels", "a mistake", "Ada", datetime.now(UTC), to=2)
    rows = rows_of(80)
    depot.deliver(
        rows.assign(weight=rows["weight"].where(rows["sent_at"] < START + timedelta(days=60), 50 + rows["weight"]))
    )
    alert = depot.monitor(67)
    assert (alert.decision.action, alert.decision.trigger) == ("alert", "drift")
    depot.monitor(67)
    depot.monitor(68)
    assert hook.subjects[3:] == [
        "parcels: rolled back, version 2 serves again in place of version 1",
        "parcels: alert by the monitor (drift)",
    ]
    assert "weight, probability of 1 drifted in 2 of the last 2 windows" in hook.bodies[4]["body"]

    depot.file.unlink()
    for _ in range(2):
        with pytest.raises(LoadFailed):
            depot.monitor(70)
    assert hook.subjects[5:] == ["parcels: monitor failed (LoadFailed)"]
    assert len(recorded("notice")) == len(hook.bodies) == 6
    verify_ledger()


def test_people_hear_that_a_challenger_waits_for_them_and_that_it_was_approved(depot: Depot, hook: Webhook) -> None:
    file = depot.projects / "parcels.py"
    file.write_text(file.read_text().replace("load=parquet", 'gate=GatePolicy(promotion="approve"), load=parquet'))
    waiting = depot.retrain(40)
    assert waiting.pending
    run, answer = refit("approve", "parcels", "1", "--who", "Ada")
    assert (run.returncode, answer["champion"]["version"]) == (0, 1), run.stderr
    assert hook.subjects == [
        "parcels: version 1 waits for approval",
        "parcels: version 1 promoted as the first champion",
    ]
    assert "To approve: refit approve parcels 1" in hook.bodies[0]["body"]
    assert "To answer" not in hook.bodies[1]["body"]


@pytest.mark.slow
def test_a_promotion_stands_though_nobody_can_be_told(depot: Depot) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    with webhook() as gone:
        gone.save_block("team")
    talkative = {"PREFECT_LOGGING_ROOT_LEVEL": "DEBUG", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG"}
    run, answer = refit("retrain", "parcels", "--as-of", (START + timedelta(days=40)).isoformat(), **talkative)
    assert (run.returncode, answer["promoted"]) == (0, True)
    fault = "the service rejected the message (ConnectError)"
    said = f"parcels: the promotion was not sent to custom-webhook/team: {fault}"
    assert said in run.stderr
    assert "HTTP Request: POST" in run.stderr, "what else is requested is still logged"
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(answer["run_id"])]))
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(UUID(answer["run_id"])).state.is_completed()
        logged = [one.message for one in client.read_logs(of_run, limit=200)]
    assert said in logged
    assert SECRET not in f"{logged} {run.stderr} {run.stdout}"
    assert recorded("notice") == []
