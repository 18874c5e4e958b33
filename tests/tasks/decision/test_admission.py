"""Turns with real processes: what a killed holder leaves is claimed by one, and a decision is carried out once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from refit import DeploymentPolicy, Project, Window
from refit.errors import NotEnoughData, RetrainRefused, StateError
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit_tasks.decision.admission import retrain_slot
from refit_tasks.decision.decide import decide_and_record, record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.decision.lock import claim_killed_retrain, is_retrain_running, lock_owner_file
from refit_tasks.ledger.record import entries, verify_ledger
from tests.support.processes import Race

AT = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
PERSON = RetrainRequest("manual", "test")
KILLED = """
import os, signal
from datetime import UTC, datetime
import pandas as pd
from sklearn.dummy import DummyRegressor
from refit import Project
from refit.monitoring.evidence import RetrainRequest
from refit_tasks.decision.admission import retrain_slot

project = Project(
    name="rentals", kind="regression", target="rentals", timestamp="observed_at",
    load=lambda window: pd.DataFrame(), build=DummyRegressor,
)
with retrain_slot(project, RetrainRequest("manual", "test"), datetime(2026, 3, 1, tzinfo=UTC), decision):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def decided(rentals: Project, generation: int = 0, at: datetime = AT) -> int:
    evidence = Evidence("rentals", AT, generation, Window(AT - WEEK, AT), WEEK, 10, 1, None, 10, AT)
    return decide_and_record.fn(rentals, replace(evidence, request=PERSON), at).id


def endings() -> list[str | None]:
    return [attempt.ending for attempt in read_history("rentals", AT).attempts]


@pytest.mark.parametrize("by", ["monitor", "person"])
def test_what_a_killed_retrain_left_is_claimed_by_one(rentals: Project, race: Race, by: str) -> None:
    number = decided(rentals) if by == "monitor" else None
    race(KILLED, 1, killed=True, decision=number)
    assert not is_retrain_running("rentals")
    assert endings() == [None]
    with ThreadPoolExecutor(8) as pool:
        claims = [one for one in pool.map(lambda _: claim_killed_retrain(rentals, AT + WEEK), range(8)) if one]
    ((evidence, recorded),) = claims
    assert recorded.id == entries("rentals", "decision")[0].id
    assert (evidence.as_of, evidence.window) == (AT + WEEK, Window(evidence.window.start, AT))
    assert endings() == ["failed"]
    assert not lock_owner_file("rentals").exists()
    verify_ledger()


def test_one_that_was_killed_twice_is_claimed_by_nobody(rentals: Project, race: Race) -> None:
    number = decided(rentals)
    race(KILLED, 1, killed=True, decision=number)
    assert claim_killed_retrain(rentals, AT) is not None
    race(KILLED, 1, killed=True, decision=number)
    assert claim_killed_retrain(rentals, AT) is None
    assert [entry.payload["ending"] for entry in entries("rentals", "retrain")] == ["failed"]


def test_nothing_is_claimed_from_the_living_or_from_those_that_ended(rentals: Project) -> None:
    assert claim_killed_retrain(rentals, AT) is None
    with pytest.raises(NotEnoughData):
        find_too_little(rentals)
    assert claim_killed_retrain(rentals, AT) is None
    assert endings() == ["refused"]


def find_too_little(rentals: Project) -> None:
    with retrain_slot(rentals, PERSON, AT):
        assert claim_killed_retrain(rentals, AT) is None
        raise NotEnoughData("too few rows")


def test_the_next_retrain_records_the_death_of_the_one_before(rentals: Project, race: Race) -> None:
    race(KILLED, 1, killed=True, decision=None)
    with pytest.raises(ZeroDivisionError), retrain_slot(rentals, PERSON, AT):
        raise ZeroDivisionError
    assert endings() == ["failed", "failed"]
    errors = [entry.payload["error"] for entry in reversed(entries("rentals", "retrain"))]
    assert errors[0] == "its process was killed"


@pytest.mark.parametrize(
    ("ending", "open_again"), [("promoted", False), ("rejected", False), ("failed", True), ("refused", True)]
)
def test_a_decision_is_carried_out_once(rentals: Project, ending: str, open_again: bool) -> None:
    number = decided(rentals)
    record_outcome("rentals", RetrainRecord(number, ending, 1.0), AT)
    if open_again:
        assert take(rentals, number) == number
    else:
        with pytest.raises(RetrainRefused, match=f"decision {number} of rentals was already carried out"):
            take(rentals, number)


@pytest.mark.parametrize("when_busy", ["refuse", "queue"])
def test_a_person_whose_run_keeps_a_decided_one_from_starting_carries_it_out(
    rentals: Project, monkeypatch: pytest.MonkeyPatch, when_busy: Literal["refuse", "queue"]
) -> None:
    definition = rentals.model_copy(update={"deployment": DeploymentPolicy(when_busy=when_busy)})
    number = decided(definition, at=datetime.now(UTC))
    with pytest.raises(RetrainRefused, match="under way"), retrain_slot(definition, PERSON, AT):
        pass  # here, and not in the deployment: the decided one may begin at any moment
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a deployment")
    if when_busy == "queue":
        with pytest.raises(RetrainRefused, match="under way"), retrain_slot(definition, PERSON, AT):
            pass  # it is the next in the queue
        return
    with suppress(NotEnoughData), retrain_slot(definition, PERSON, AT) as turn:
        assert turn.decision == number
        raise NotEnoughData("none")
    assert endings() == ["refused"]
    verify_ledger()


def test_a_number_that_is_no_open_decision_is_refused(rentals: Project) -> None:
    with pytest.raises(RetrainRefused, match="ledger entry 7 is not an open decision to retrain rentals"):
        take(rentals, 7)
    number = decided(rentals, generation=3)
    with pytest.raises(RetrainRefused, match="generation 3, not the one serving"):
        take(rentals, number)
    assert endings() == ["refused"]  # nothing was fitted, so nothing is taken from the budget
    with pytest.raises(RetrainRefused, match="generation 3, not the one serving"):
        take(rentals, number)
    assert len(entries("rentals", "retrain")) == 1


def take(rentals: Project, decision: int) -> int:
    with suppress(ZeroDivisionError), retrain_slot(rentals, PERSON, AT, decision) as turn:
        raise ZeroDivisionError
    return turn.decision


def test_a_ledger_that_cannot_be_written_leaves_the_end_to_the_next(
    rentals: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_ledger() -> None:
        monkeypatch.setenv("REFIT_DATABASE_URL", f"sqlite:///{home}/nowhere/ledger.db")
        raise ZeroDivisionError

    with pytest.raises(StateError, match="cannot be opened"), retrain_slot(rentals, PERSON, AT):
        lose_the_ledger()
    monkeypatch.delenv("REFIT_DATABASE_URL")
    assert endings() == [None]
    with pytest.raises(ZeroDivisionError), retrain_slot(rentals, PERSON, AT):
        raise ZeroDivisionError
    assert endings() == ["failed", "failed"]
    assert not lock_owner_file("rentals").exists()
