"""Many decisions in a row: storms stay within the budget, a drift that goes on is neither looped over nor forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from refit import MonitoringPolicy
from refit.monitoring.decide import DecisionRecord, RetrainRecord, build_history, decide, replay_decision
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.monitoring.history import History
from refit.policies.monitoring import BudgetPolicy, DriftPolicy, PerformancePolicy
from refit.records.ledger import Entry, EntryKind, as_payload, from_payload
from tests.support.decision_situations import HOUR, START, WEEK, decided, drift_at, probe_at, quiet, score

STORMS, TRIGGERS = 100, 60
PERIOD = 8 * WEEK
STORMY = MonitoringPolicy(
    drift=DriftPolicy(then="retrain"),
    performance=PerformancePolicy(then="retrain"),
    schedule=2 * WEEK,
    new_rows=1_500,
    cooldown=HOUR,
    budget=BudgetPolicy(retrains=5, burst=3, minutes=45.0, period=PERIOD),
)
REQUESTS = (None, None, RetrainRequest("manual", "a person"), RetrainRequest("event", "prices"))


def test_a_persisting_drift_with_rejected_retrains_neither_loops_nor_is_forgotten() -> None:
    policy = MonitoringPolicy(drift=DriftPolicy(then="retrain"), probe=None)
    history, tried = History(), []
    for week in range(60):
        decision, history = decided(
            quiet(10 + week, drift=drift_at(START + (10 + week) * WEEK, "wind")), policy, history
        )
        if decision.action == "retrain":
            tried.append(week)
            history = history.finished("rejected", 5.0)
    assert tried == [
        1,
        2,
        6,
        11,
        19,
        35,
        51,
    ]  # the wait doubles up to 16 windows; 6 and 11 are when the budget allows it


def test_a_retrain_that_finds_nothing_to_train_on_is_not_tried_again_at_once() -> None:
    history, tried = History(), []
    for hours in range(4 * 168):
        weeks = 10 + hours / 168
        decision, history = decided(quiet(weeks, probe=probe_at(START + weeks * WEEK)), None, history)
        if decision.action == "retrain":
            tried.append(hours)
            history = history.finished("refused", 0.1)
    assert tried == [0, 168, 3 * 168]


def storm(seed: int) -> Iterable[tuple[Evidence, History, bool]]:
    """Gives what each trigger of a storm met, and whether it led to a retrain; some come in a burst, some later."""
    rng, history, generation = np.random.default_rng(seed), History(), int(seed % 2)
    at, trained = START + WEEK, START
    for _ in range(TRIGGERS):
        at += timedelta(hours=float(rng.choice([0.0, 0.02, 1.0, 30.0, 400.0])))
        evidence = quiet(
            (at - START) / WEEK,
            generation=generation,
            trained_until=trained if generation else None,
            request=REQUESTS[rng.integers(len(REQUESTS))],
            drift=drift_at(at, "wind", huge=bool(rng.integers(2))) if rng.random() < 0.5 else None,
            performance=score(dropped=bool(rng.integers(2))) if rng.random() < 0.5 else None,
            probe=probe_at(at, float(rng.normal(0.05, 0.1))) if rng.random() < 0.5 else None,
        )
        decision, after = decided(evidence, STORMY, history)
        yield evidence, history, decision.action == "retrain"
        history = after
        if decision.action == "retrain" and rng.random() < 0.9:  # else it dies without a word
            ending = str(rng.choice(["promoted", "rejected", "failed"]))
            history = history.finished(ending, 10.0)  # type: ignore[arg-type]
            generation, trained = (generation + 1, at) if ending == "promoted" else (generation, trained)


def most_within(times: list[datetime], period: timedelta) -> int:
    """The most of them in any period, wherever it begins."""
    return max((sum(begin <= one < begin + period for one in times) for begin in times), default=0)


def test_no_storm_exceeds_the_budget_in_any_period() -> None:
    """What makes the first champion is not counted: without one there is nothing to fall back on."""
    fullest = 0
    for seed in range(STORMS):
        retrains = [evidence.as_of for evidence, _, retrained in storm(seed) if retrained and evidence.generation]
        fullest = max(fullest, most_within(retrains, PERIOD))
        assert most_within(retrains, PERIOD) <= STORMY.budget.retrains
        assert most_within(retrains, timedelta(0)) <= 1, "triggers of one instant started several"
    assert fullest == STORMY.budget.retrains, "the storms were too weak to show anything"


@pytest.mark.parametrize("longest", [10.0, 25.0])
def test_no_storm_exceeds_the_minutes(longest: float) -> None:
    """With retrains of equal length the minutes hold exactly; else by what the newest was shorter than the next."""
    policy = MonitoringPolicy(cooldown=HOUR, budget=BudgetPolicy(retrains=50, burst=50, minutes=45.0, period=PERIOD))
    for seed in range(STORMS):
        rng, history, at, took = np.random.default_rng(seed), History(), START + WEEK, list[tuple[datetime, float]]()
        for _ in range(TRIGGERS):
            at += timedelta(hours=float(rng.choice([0.5, 30.0, 200.0])))
            evidence = quiet((at - START) / WEEK, request=REQUESTS[2 + rng.integers(2)])
            decision, history = decided(evidence, policy, history)
            if decision.action == "retrain":
                took.append((at, float(rng.uniform(10.0, longest))))
                history = history.finished("promoted", took[-1][1])
        spent = max(sum(m for t, m in took if begin <= t < begin + PERIOD) for begin, _ in took)
        assert spent <= 45.0 + (longest - 10.0)


def test_equal_evidence_gives_an_equal_decision() -> None:
    for seed in range(10):
        for evidence, history, _ in storm(seed):
            assert decide(evidence, STORMY, history) == decide(evidence, STORMY, history)
        assert [retrained for *_, retrained in storm(seed)] == [retrained for *_, retrained in storm(seed)]


def entry(number: int, kind: EntryKind, value: object) -> Entry:
    """An entry as it comes back from a ledger: through JSON."""
    return Entry(number, "rentals", kind, START, json.loads(json.dumps(as_payload(value))), "", "")


def test_a_ledger_is_replayed_and_its_newest_entries_are_enough() -> None:
    for seed in range(5):
        entries, history = list[Entry](), History()
        for evidence, _, _ in storm(seed):
            decision = decide(evidence, STORMY, history)
            entries.append(entry(len(entries) + 1, "decision", DecisionRecord(evidence, STORMY, history, decision)))
            history = history.after(evidence, decision, STORMY, entries[-1].id)
            if decision.action == "retrain":
                entries.append(entry(len(entries) + 1, "retrain", RetrainRecord(entries[-1].id, "rejected", 4.5)))
                history = history.finished("rejected", 4.5, entries[-2].id)
        decisions = [one for one in entries if one.kind == "decision"]
        assert [replay_decision(one) for one in decisions] == [
            from_payload(DecisionRecord, one.payload).decision for one in decisions
        ]
        assert build_history(entries) == history
        assert build_history(entries[entries.index(decisions[-1]) :]) == history


def test_a_decision_of_a_former_release_is_replayed_equal_though_it_was_worded_otherwise() -> None:
    evidence, history, _ = next(iter(storm(0)))
    decision = decide(evidence, STORMY, history)
    worded = replace(decision, findings=tuple(replace(one, sentence="in other words") for one in decision.findings))
    assert replay_decision(entry(1, "decision", DecisionRecord(evidence, STORMY, history, worded))) == worded
    first, *others = decision.findings
    other = replace(decision, findings=(replace(first, fired=not first.fired), *others))
    assert replay_decision(entry(1, "decision", DecisionRecord(evidence, STORMY, history, other))) != other
