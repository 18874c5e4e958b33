"""The arbiter on a real ledger: a storm of triggers starts one retrain, and every decision can be made again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refit import MonitoringPolicy, Project, Window
from refit.errors import RetrainRefused
from refit.monitoring.decide import DecisionRecord, RetrainRecord, decide, replay_decision
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.monitoring.history import History
from refit.policies.monitoring import DriftPolicy, PerformancePolicy
from refit.records.ledger import from_payload
from refit.records.references import Champion, ModelRef
from refit_tasks.decision.admission import retrain_slot
from refit_tasks.decision.decide import decide_and_record, record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.decision.lock import is_retrain_running
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import insert_generation
from refit_tasks.ledger.record import entries, verify_ledger
from tests.support.decision_situations import drift_at, probe_at, score

AT = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
KINDS = ("manual", "event", "drift", "performance", "probe", "schedule", "new_rows")
STORMY = MonitoringPolicy(
    drift=DriftPolicy(then="retrain"), performance=PerformancePolicy(then="retrain"), schedule=7 * WEEK, new_rows=5_000
)
REQUESTS = (RetrainRequest("manual", "test"), RetrainRequest("event", "test"), None)


def evidence_of(number: int = 0, generation: int = 0) -> Evidence:
    window = Window(AT - WEEK, AT)
    return Evidence(
        "rentals",
        AT,
        generation,
        window,
        WEEK,
        10,
        1,
        AT - WEEK,
        10,
        AT,
        1.05,
        request=REQUESTS[number % len(REQUESTS)],
    )


def of_kind(number: int) -> Evidence:
    """Evidence by which one of seven triggers fires: person, event, drift, performance, probe, schedule or rows."""
    begin = AT - 8 * WEEK
    calm = replace(evidence_of(2, generation=1), trained_until=begin, new_rows=0, as_of=AT + number * SECOND / 10)
    return (
        replace(calm, request=RetrainRequest("manual", "a person")),
        replace(calm, request=RetrainRequest("event", "prices")),
        replace(calm, drift=drift_at(AT, "wind", huge=True)),
        replace(calm, performance=score(dropped=True)),
        replace(calm, probe=probe_at(AT)),
        calm,
        replace(calm, trained_until=AT, new_rows=5_000),
    )[number % 7]


@pytest.mark.slow
def test_a_storm_of_500_triggers_of_all_kinds_leads_to_one_retrain_and_is_replayed(rentals: Project) -> None:
    stormy = rentals.model_copy(update={"monitoring": STORMY})
    for number in range(7):
        alone = decide(of_kind(number), STORMY, History())
        assert (alone.action, alone.trigger) == ("retrain", KINDS[number])
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: decide_and_record.fn(stormy, of_kind(n), AT), range(500)))
    assert sum(one.decision.action == "retrain" for one in made) == 1
    recorded = entries("rentals", "decision", newest=500)
    assert len(recorded) == verify_ledger() == 500
    for entry in recorded[::50]:
        assert replay_decision(entry) == from_payload(DecisionRecord, entry.payload).decision


def test_a_retrain_that_ended_is_known_to_the_next_decision(rentals: Project) -> None:
    first = decide_and_record.fn(rentals, evidence_of(), AT)
    record_outcome("rentals", RetrainRecord(first.id, "rejected", 2.5), AT)
    (attempt,) = read_history("rentals", AT).attempts
    assert (attempt.ending, attempt.minutes) == ("rejected", 2.5)
    actions = [
        decide_and_record.fn(rentals, later(weeks, labels), AT + weeks * WEEK).decision.action
        for weeks, labels in ((0.5, AT + WEEK), (1, AT), (1, AT + WEEK))
    ]
    assert actions == ["wait", "wait", "retrain"]  # the cooldown, then labels were the same, then new ones came


def later(weeks: float, labels: datetime) -> Evidence:
    return replace(evidence_of(2), as_of=AT + weeks * WEEK, mature_until=labels)


def test_of_a_champion_that_is_promoted_while_the_former_one_is_measured_the_decision_knows(
    rentals: Project, evidence: Callable[..., tuple[ModelRef, Any, Any, Any]]
) -> None:
    measured = evidence_of(1)
    with writing() as connection:
        insert_generation(connection, "promotion", Champion(evidence()[0], 1, 1, AT), None, {}, once=None)
    late = decide_and_record.fn(rentals, measured, AT)
    assert late.decision.action == "wait"
    assert "generation 1 serves now" in str(late.decision)
    assert replay_decision(entries("rentals", "decision")[0]) == late.decision
    assert decide_and_record.fn(rentals, evidence_of(1, generation=1), AT).decision.action == "retrain"
    verify_ledger()


def test_a_turn_is_held_alone_and_a_failure_is_recorded(rentals: Project) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_within_a_turn(rentals)
    assert not is_retrain_running("rentals")
    assert [attempt.ending for attempt in read_history("rentals", AT).attempts] == ["failed"]


def _fail_within_a_turn(rentals: Project) -> None:
    with retrain_slot(rentals, RetrainRequest("manual", "test"), AT):
        assert is_retrain_running("rentals")
        with pytest.raises(RetrainRefused), retrain_slot(rentals, RetrainRequest("manual", "again"), AT):
            pass
        raise ZeroDivisionError
