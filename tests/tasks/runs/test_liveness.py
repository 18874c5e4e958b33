"""Lock files of flow runs with real processes: one that is left and not held names a run whose process was killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refit import Project, Window
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit_tasks.decision.decide import decide_and_record
from refit_tasks.decision.lock import claim_killed_retrain
from refit_tasks.runs.liveness import claim_dead_runs, dead_runs, remove_dead_run, run_lock
from tests.support.processes import Race

AT = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
KILLED = """
import os, signal
os.environ["PREFECT__RUNTIME__FLOW_RUN__ID"] = run
from refit_tasks.runs.liveness import run_lock
with run_lock("monitor", "rentals"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def run_id(monkeypatch: pytest.MonkeyPatch) -> str:
    """What Prefect would call the run of this process."""
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "living-run")
    return "living-run"


def test_a_living_run_is_not_dead_and_leaves_nothing(run_id: str, home: Path) -> None:
    with run_lock("retrain", "rentals") as run:
        assert run == run_id
        assert (home / "runs" / f"{run_id}.lock").exists()
        assert dead_runs() == []
        assert claim_dead_runs("rentals", {run_id}) == set()
    assert not (home / "runs" / f"{run_id}.lock").exists()
    with pytest.raises(ZeroDivisionError), run_lock("retrain", "rentals"):
        raise ZeroDivisionError
    assert dead_runs() == []


def test_outside_of_a_run_nothing_is_written(home: Path) -> None:
    with run_lock("retrain", "rentals") as run:
        assert run is None
    assert not home.exists()
    assert dead_runs() == []


def test_a_killed_run_is_named_until_it_is_forgotten(race: Race, home: Path) -> None:
    race(KILLED, 1, killed=True, run="first")
    race(KILLED, 1, killed=True, run="second")
    (home / "runs" / "torn.lock").touch()
    assert [run.id for run in dead_runs()] == ["torn", "first", "second"]
    first = next(run for run in dead_runs("rentals") if run.id == "first")
    assert (first.flow, first.project, first.claimed) == ("monitor", "rentals", False)
    assert [run.id for run in dead_runs("deliveries")] == ["torn"]
    remove_dead_run(first)
    assert [run.id for run in dead_runs()] == ["torn", "second"]


def test_a_run_that_goes_on_under_its_id_is_alive_again(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    race(KILLED, 1, killed=True, run="first")
    (dead,) = dead_runs()
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "first")
    with run_lock("monitor", "rentals"):
        assert dead_runs() == []
        remove_dead_run(dead)
        assert claim_dead_runs("rentals", {"first"}) == set()
    assert dead_runs() == []


def test_what_a_killed_monitor_had_decided_is_claimed_by_one(rentals: Project, race: Race) -> None:
    evidence = Evidence("rentals", AT, 0, Window(AT - WEEK, AT), WEEK, 10, 1, None, 10, AT)
    asked = replace(evidence, request=RetrainRequest("manual", "test"))
    number = decide_and_record.fn(rentals, asked, AT, turn="first").id
    assert claim_killed_retrain(rentals, AT + WEEK) is None
    race(KILLED, 1, killed=True, run="first")
    with ThreadPoolExecutor(8) as pool:
        claims = [one for one in pool.map(lambda _: claim_killed_retrain(rentals, AT + WEEK), range(8)) if one]
    assert [recorded.id for _, recorded in claims] == [number]
    assert claim_killed_retrain(rentals, AT + WEEK) is None
    assert [run.claimed for run in dead_runs()] == [True]
