"""The monitor from end to end, on a real Prefect server, real Delta tables, a real ledger and a real MLflow store."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from refit.errors import RetrainRefused
from tests.support.watched_project import A_DAY, START, Depot, actions, begin, recorded, rows_of

DAY = timedelta(days=1)


def fired(outcome: Any) -> set[str]:
    return {finding.check for finding in outcome.decision.findings if finding.fired}


def test_first_champion_then_quiet_then_nothing_new(depot: Depot) -> None:
    first = depot.monitor(40)
    assert (first.decision.action, first.decision.trigger, first.champion) == ("retrain", "first", None)
    assert first.retrain is not None
    assert first.retrain.promotion is not None
    assert first.retrain.judgement is not None
    assert first.retrain.judgement.reason == f"first, decision {first.decision_id}"

    quiet = depot.monitor(46)
    assert (quiet.decision.action, quiet.decision.trigger, quiet.retrain) == ("wait", None, None)
    assert not fired(quiet)
    assert quiet.champion == first.retrain.promotion
    assert quiet.evidence.rows == 5 * A_DAY
    assert quiet.evidence.drift is not None
    assert quiet.evidence.performance is not None
    assert quiet.evidence.probe is not None
    assert quiet.evidence.probe.seconds > 0

    again = depot.monitor(46)
    assert again.nothing_new
    assert again.decision_id == quiet.decision_id
    assert again.evidence.probe is not None
    assert again.evidence.probe.seconds == 0, "the probe was made again"
    assert again.evidence.drift == quiet.evidence.drift
    assert actions() == ["retrain", "wait"]
    assert not depot.monitor(47).nothing_new


@pytest.mark.slow
def test_a_changed_concept_is_found_by_the_probe_and_retrained_once(monitored: Depot) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import verify_ledger

    monitored.deliver(rows_of(80, turned=40))
    found = monitored.monitor(64)
    assert (found.decision.action, found.decision.trigger) == ("retrain", "probe")
    assert "performance" in fired(found)
    assert found.retrain is not None
    assert found.retrain.promotion is not None
    after = monitored.monitor(64)
    assert after.decision.action == "wait"
    assert after.champion == current_champion("parcels") == found.retrain.promotion
    assert actions().count("retrain") == len(recorded("promotion")) == len(recorded("retrain")) == 2
    verify_ledger()


@pytest.mark.slow
def test_labels_that_come_later_change_the_evidence(monitored: Depot, tmp_path: Path) -> None:
    from refit_tasks.catalog import find_project
    from refit_tasks.ingestion.label_join import join_labels

    rows = rows_of(80, turned=40)
    monitored.deliver(rows.assign(late=rows["late"].where(rows["sent_at"] < START + 40 * DAY)))
    before = monitored.monitor(46)
    assert before.decision.action == "wait"
    assert before.evidence.performance is not None
    assert before.evidence.performance.window.end < START + 41 * DAY
    assert not before.evidence.performance.dropped

    late = rows[rows["sent_at"].between(START + 40 * DAY, START + 45 * DAY)]
    late[["parcel", "late"]].to_csv(tmp_path / "labels.csv", index=False)
    join_labels(find_project("parcels"), tmp_path / "labels.csv")
    after = monitored.monitor(46)
    assert not after.nothing_new
    assert after.evidence.performance is not None
    assert after.evidence.performance.window.end > START + 44 * DAY
    assert after.evidence.performance.dropped
    assert (after.decision.action, after.decision.trigger) == ("retrain", "probe")


@pytest.mark.slow
def test_an_event_asks_for_a_retrain_within_the_cooldown_of_all(monitored: Depot) -> None:
    asked = monitored.monitor(46, event="the carrier has changed")
    assert (asked.decision.action, asked.decision.trigger) == ("retrain", "event")
    assert asked.retrain is not None
    again = monitored.monitor(47, event="the carrier has changed")
    assert (again.decision.action, again.decision.trigger) == ("wait", "event")
    assert "cooldown" in fired(again)
    assert any("the carrier has changed" in finding.sentence for finding in again.decision.findings)


@pytest.mark.slow
def test_a_person_and_the_monitor_share_one_budget(depot: Depot) -> None:
    depot.set_policy("new_rows=1, budget=BudgetPolicy(retrains=2)")
    depot.retrain(40)
    depot.retrain(46)
    held = depot.monitor(47)
    assert (held.decision.action, held.decision.trigger) == ("wait", "new_rows")
    assert "cooldown" in fired(held)
    assert depot.monitor(52).decision.action == "retrain"
    with pytest.raises(RetrainRefused, match="2 of 2 retrains"):
        depot.retrain(58)
    assert "budget" in fired(depot.monitor(60))
    assert depot.retrain(60, force=True).generation >= 1


@pytest.mark.slow
def test_a_champion_that_cannot_score_is_judged_by_what_is_left(monitored: Depot, home: Path) -> None:
    for model in list(home.glob("mlartifacts/parcels/models/*")):
        shutil.rmtree(model)
    outcome = monitored.monitor(46)
    assert outcome.decision.action == "wait"
    assert outcome.evidence.performance is None
    assert outcome.evidence.probe is not None
    assert any("is missing: restore it from a backup" in sentence for sentence in outcome.evidence.withheld)
    assert monitored.monitor(46).nothing_new


@pytest.mark.slow
def test_a_rejected_retrain_does_not_loop(depot: Depot) -> None:
    depot.set_policy("new_rows=1, probe=None")
    depot.deliver(rows_of(80, turned=40, until=54))
    depot.monitor(40)
    tried = depot.monitor(70)
    assert tried.retrain is not None
    assert tried.retrain.promotion is None
    held = depot.monitor(70)
    assert held.decision.action == "wait"
    assert {"cooldown", "rejected_before"} <= fired(held)
    assert depot.monitor(70).nothing_new
    assert depot.monitor(72).decision.action == "wait"
    assert depot.monitor(75.5).decision.action == "retrain"
    assert depot.monitor(75.5).decision.action == "wait"
    assert [one["ending"] for one in recorded("retrain")][:2] == ["promoted", "rejected"]
    assert actions().count("retrain") == 3


ASK = """
import time
from datetime import datetime
from pathlib import Path
from refit.errors import RetrainRefused
from refit_flows.{flow} import {flow}
Path("{ready}").touch()
while not Path("{go}").exists():
    time.sleep(0.01)
try:
    {flow}("parcels", as_of=datetime.fromisoformat("{as_of}"))
except RetrainRefused:
    print("refused")
"""


@pytest.mark.slow
def test_of_three_who_ask_at_once_one_retrains(depot: Depot, tmp_path: Path) -> None:
    from refit_tasks.ledger.record import verify_ledger

    as_of, go = (START + 40 * DAY).isoformat(), tmp_path / "go"
    ready = [tmp_path / f"ready{number}" for number in range(3)]
    asking = [
        begin("-c", ASK.format(flow=flow, ready=file, go=go, as_of=as_of))
        for flow, file in zip(("monitor", "monitor", "retrain"), ready, strict=True)
    ]
    wait_for(*ready)
    go.touch()
    ends = [(one.communicate(timeout=200), one.returncode) for one in asking]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert actions().count("retrain") == len(recorded("promotion")) == 1
    assert [one["ending"] for one in recorded("retrain")] == ["promoted"]
    verify_ledger()


@pytest.mark.slow
def test_a_killed_retrain_is_gone_on_with_once(depot: Depot) -> None:
    from refit_tasks.ledger.record import verify_ledger

    kill_in_training(depot)
    assert actions() == ["retrain"]
    assert not recorded("retrain")
    outcome = depot.monitor(40)
    assert outcome.decision_id == recorded("decision")[0]["id"]
    assert outcome.retrain is not None
    assert outcome.retrain.promotion is not None
    assert actions() == ["retrain"]
    assert [one["ending"] for one in recorded("retrain")] == ["failed", "promoted"]
    assert recorded("retrain")[0]["error"] == "its process was killed"
    assert len(recorded("promotion")) == 1
    assert depot.monitor(46).decision.action == "wait"
    verify_ledger()


@pytest.mark.slow
def test_a_retrain_that_is_killed_twice_is_left_to_the_arbiter(depot: Depot) -> None:
    kill_in_training(depot)
    kill_in_training(depot)
    assert actions() == ["retrain"]
    held = depot.monitor(40)
    assert (held.decision.action, held.decision.trigger) == ("wait", "first")
    assert "cooldown" in fired(held)
    assert not recorded("promotion")
    assert depot.monitor(46).retrain is not None
    assert len(recorded("promotion")) == 1


def kill_in_training(depot: Depot) -> None:
    depot.stall.touch()
    watching = begin("-c", ASK.format(flow="monitor", ready=depot.file, go=depot.file, as_of=START + 40 * DAY))
    try:
        wait_for(depot.stalled)
    finally:
        watching.kill()
        watching.communicate()
    depot.stall.unlink()
    depot.stalled.unlink()


def wait_for(*files: Path) -> None:
    deadline = time.monotonic() + 200
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline, "the processes do not come so far"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_champion_that_is_worse_than_the_former_one_is_rolled_back(depot: Depot) -> None:
    """The world turns, the new model learns that, and the world turns back."""
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import verify_ledger

    depot.set_policy("probe=None, drift=None), training=TrainingPolicy(window=timedelta(days=10)")
    depot.deliver(rows_of(100, turned=40, until=63))
    first = depot.monitor(40).retrain.promotion
    second = depot.retrain(64).promotion
    assert (first.version, second.version) == (1, 2)
    watched = depot.monitor(72)
    told = {finding.check: finding.sentence for finding in watched.decision.findings}["watch"]
    assert (watched.decision.action, watched.decision.trigger) == ("alert", "watch"), told
    assert (watched.decision.action, watched.decision.trigger) == ("alert", "watch")
    assert watched.evidence.watched.former_version == 1
    assert watched.rolled_back == current_champion("parcels")
    assert (watched.rolled_back.version, watched.rolled_back.generation) == (1, 3)
    assert watched.as_json()["rollback"] == {"version": 1, "generation": 3}
    (entry,) = recorded("rollback")
    assert (entry["by"], entry["decision"]) == ("the watch", watched.decision_id)
    assert "significantly worse" in entry["reason"]

    after = depot.monitor(73)
    assert (after.decision.action, after.champion) == ("wait", watched.rolled_back)
    assert after.evidence.watched is None
    verify_ledger()
