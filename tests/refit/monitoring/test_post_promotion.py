"""The watch after a promotion: its rule, and how often it takes back a champion that is as good, or worse."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from refit import MonitoringPolicy, WatchPolicy, Window
from refit.gate.evaluations import Evaluation
from refit.monitoring.evidence import FormerComparison
from refit.monitoring.post_promotion import compare_with_former, find_due_look
from refit.records.contributions import Contributions, Stratum
from tests.support.decision_situations import DAY, START, decided, finding, probe_at, quiet
from tests.support.simulation_sizes import at_most, sizes

END = START + timedelta(weeks=10)


def watched(champion: list[float], former: list[float], rows: int = 1_000, look: int = 1) -> FormerComparison:
    both = [Evaluation(float(np.mean(blocks)), tuple(blocks)) for blocks in (champion, former)]
    return FormerComparison("accuracy", look, Window(START, START + look * DAY), rows, 1, *both)


BETTER, WORSE = [0.9, 0.91, 0.89, 0.9, 0.92, 0.9], [0.8, 0.82, 0.79, 0.81, 0.8, 0.8]


def test_a_worse_champion_is_taken_back_before_anything_else() -> None:
    decision, _ = decided(quiet(watched=watched(WORSE, BETTER), probe=probe_at(END)))
    assert (decision.action, decision.trigger) == ("alert", "watch")
    told = finding(decision, "watch").sentence
    assert "accuracy is 0.8033 against the 0.9033 of the former champion, version 1, on 1,000 rows" in told
    assert "look 1 of 4" in told


def test_without_the_rollback_it_is_an_alert_beside_which_a_retrain_goes_on() -> None:
    policy = MonitoringPolicy(watch=WatchPolicy(rollback=False))
    assert decided(quiet(watched=watched(WORSE, BETTER), probe=probe_at(END)), policy)[0].trigger == "probe"
    assert decided(quiet(watched=watched(WORSE, BETTER)), policy)[0].trigger == "watch"


@pytest.mark.parametrize(
    ("found", "policy"),
    [
        (watched(BETTER, WORSE), MonitoringPolicy()),
        (watched(WORSE, WORSE), MonitoringPolicy()),
        (watched(WORSE[:4], BETTER[:4]), MonitoringPolicy()),
        (watched(WORSE, BETTER, rows=99), MonitoringPolicy()),
        (watched(WORSE, BETTER), MonitoringPolicy(watch=None)),
        (None, MonitoringPolicy()),
    ],
    ids=["better", "equal", "few blocks", "few rows", "switched off", "nothing to watch"],
)
def test_nothing_is_taken_back_without_proof(found: FormerComparison | None, policy: MonitoringPolicy) -> None:
    assert decided(quiet(watched=found), policy)[0].action == "wait"


def with_contributions(losses: np.ndarray) -> Evaluation:
    blocks = losses.reshape(50, -1)
    kept = Stratum((blocks.shape[1],) * 50, tuple((-blocks.sum(axis=1)).tolist()), float(losses.var()))
    return Evaluation(-float(losses.mean()), tuple((-blocks.mean(axis=1)).tolist()), Contributions((kept,)))


@pytest.mark.parametrize(("harm", "fired"), [(0.1, True), (2.0, False), (None, False)])
def test_a_champion_that_fails_in_one_block_alone_is_taken_back(harm: float | None, fired: bool) -> None:
    """A block of forty rows has forty times the former champion's loss: no t test over blocks sees that."""
    rng = np.random.default_rng(2)
    former = np.abs(rng.normal(size=2_000))
    champion = np.abs(former + 0.2 * rng.normal(size=2_000))
    champion[400:440] += 40 * former.mean()
    both = [with_contributions(each) for each in (champion, former)]
    found = FormerComparison("neg_mean_absolute_error", 1, Window(START, START + DAY), 2_000, 1, *both)
    result = compare_with_former(quiet(watched=found), MonitoringPolicy(watch=WatchPolicy(harm=harm)))
    assert result.fired == fired
    assert "not significantly worse" in result.sentence
    assert ("its loss rises by more than 10%" in result.sentence) == fired


@pytest.mark.parametrize(("days", "look"), [(0.9, None), (1, 1), (1.9, 1), (3, 3), (4, 4), (40, 4)])
def test_a_look_is_due_with_every_window_and_the_last_one_stays(days: float, look: int | None) -> None:
    due = find_due_look(START, START + days * DAY, DAY, looks=4)
    assert (due and due[0]) == look
    assert due is None or due[1] == Window(START, START + due[0] * DAY)


def taken_back(rng: np.random.Generator, worse: float, wander: float) -> bool:
    """Plays one watch of four looks at growing rows, whose paired differences wander in time."""
    rows, policy = 4 * 500, MonitoringPolicy()
    steps = rng.normal(size=rows)
    drifting = np.empty(rows)
    drifting[0] = steps[0]
    for at in range(1, rows):
        drifting[at] = wander * drifting[at - 1] + np.sqrt(1 - wander**2) * steps[at]
    differences = drifting - worse
    for look in range(1, 5):
        seen = differences[: look * 500]
        blocks = seen.reshape(min(50, len(seen) // 50), -1).mean(axis=1)
        one = watched([float(value) for value in blocks], [0.0] * len(blocks), len(seen), look)
        if compare_with_former(quiet(watched=one), policy).fired:
            return True
    return False


@sizes(1_000)
@pytest.mark.parametrize("wander", [0.0, 0.7], ids=["independent rows", "rows that hang together"])
def test_an_equal_champion_is_taken_back_in_at_most_five_percent_of_watches(wander: float, repeats: int) -> None:
    rng = np.random.default_rng(20260401)
    false_alarms = sum(taken_back(rng, 0.0, wander) for _ in range(repeats))
    assert false_alarms <= repeats * at_most(0.05, repeats)


def test_a_champion_that_is_clearly_worse_is_taken_back() -> None:
    rng, repeats = np.random.default_rng(20260402), 200
    assert sum(taken_back(rng, 0.15, 0.0) for _ in range(repeats)) >= 0.95 * repeats
