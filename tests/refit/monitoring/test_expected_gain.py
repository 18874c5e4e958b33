"""The expected gain of a retrain: it is learned from all looks, weighed against the budget, and needs no probe."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from refit import MonitoringPolicy
from refit.monitoring.evidence import Evidence
from refit.monitoring.expected_gain import AGEING, GainEstimate
from refit.monitoring.history import PERIOD_WINDOWS, History
from refit.policies.monitoring import BudgetPolicy, ProbePolicy
from refit.windows import Window
from tests.support.decision_situations import START, WEEK, decided, finding, probe_at, quiet
from tests.support.simulation_sizes import sizes

BLOCKS = 10
FIRST_WEEKS = 2


def look(week: float, trained: float, gain: float | None, error: float = 0.02, generation: int = 1) -> Evidence:
    """A look at the end of a week at a champion that knows the first `trained` weeks of an even stream."""
    end = START + week * WEEK
    probe = None if gain is None else replace(probe_at(end, gain, error), window=Window(end - WEEK / 2, end))
    return quiet(week, generation=generation, growth=week / trained, probe=probe)


def live(gains: np.random.Generator, error: float, slope: float = 0.0, jump: float = 0.0) -> list[int]:
    """Looks once a week for 28 weeks, and gives the weeks of the retrains; from week 15 on the world is another one.

    A fresh model gains `slope` per unit of the logarithm of the growth, and `jump` more if the champion is older than
    the change. Each probe draws blocks whose mean has the standard error `error`.
    """
    history, trained, generation, retrained = History(), FIRST_WEEKS, 1, list[int]()
    for week in range(FIRST_WEEKS + 1, FIRST_WEEKS + 1 + PERIOD_WINDOWS):
        gain = slope * math.log(week / trained) + jump * (trained < 15 <= week)
        blocks = gains.normal(gain, error * math.sqrt(BLOCKS), BLOCKS)
        measured = float(blocks.std(ddof=1) / math.sqrt(BLOCKS))
        evidence = look(week, trained, float(blocks.mean()), measured, generation)
        assert evidence.probe is not None
        evidence = replace(evidence, probe=replace(evidence.probe, blocks=BLOCKS))
        decision, history = decided(evidence, None, history)
        if decision.action == "retrain":
            history = history.finished("promoted", 1.0)
            trained, generation = week, generation + 1
            retrained.append(week)
    return retrained


@sizes(300, 60)
@pytest.mark.parametrize(("error", "most"), [(0.02, 0.1), (0.05, 1.5)])
def test_where_nothing_is_gained_hardly_anything_is_spent(repeats: int, error: float, most: float) -> None:
    """Retrains in a budget's period of 28 windows. The noisier the probes, the more the age of the champion counts."""
    spent = [len(live(np.random.default_rng(seed), error)) for seed in range(repeats)]
    assert np.mean(spent) <= most + 3 * np.std(spent, ddof=1) / math.sqrt(repeats)
    assert max(spent) <= BudgetPolicy().retrains


@sizes(300, 60)
def test_a_change_of_the_world_is_answered_within_two_windows(repeats: int) -> None:
    late = [seed for seed in range(repeats) if not {15, 16} & set(live(np.random.default_rng(seed), 0.03, jump=0.3))]
    assert len(late) <= 0.02 * repeats


def test_a_project_that_ages_spends_its_budget() -> None:
    spent = [len(live(np.random.default_rng(seed), 0.03, slope=0.3)) for seed in range(20)]
    assert 4 <= np.mean(spent) <= 6


def test_it_makes_no_difference_how_often_one_looks() -> None:
    """Of the probes that overlap only those are counted that a weekly look would have made: rows are judged once."""
    gains = dict(enumerate(np.random.default_rng(0).normal(0.05, 0.05, 60)))
    weekly, daily = GainEstimate(), GainEstimate()
    for day in range(3 * 7, 20 * 7, 7):
        weekly = weekly.after(look(day / 7, 2, float(gains[day // 7])))
    for day in range(3 * 7, 19 * 7 + 1):
        week, rest = divmod(day, 7)
        # The half weeks between carry no news of their own here: their probes are judged on rows of the week before.
        daily = daily.after(look(day / 7, 2, float(gains[week]) if rest == 0 else None))
        if rest in (1, 2, 3):
            daily = daily.after(look(day / 7, 2, 5.0))
    assert daily.losses == weekly.losses
    assert daily.expect(10.0) == pytest.approx(weekly.expect(10.0), rel=1e-9)


def test_without_probes_the_age_decides_as_often_as_the_budget_allows() -> None:
    history, trained, retrained = History(), 2, list[int]()
    for week in range(3, 31):
        decision, history = decided(look(week, trained, None, generation=1 + len(retrained)), None, history)
        sentence = finding(decision, "probe").sentence
        assert "so this rests on the age of the champion and on former probes" in sentence
        if decision.action == "retrain":
            history = history.finished("promoted", 1.0)
            trained = week
            retrained.append(week)
    assert 4 <= len(retrained) <= 6


def test_a_project_is_learned_and_a_champion_forgotten() -> None:
    history = History()
    for week in range(3, 20):
        _, history = decided(look(week, 2, 0.0, 0.01), MonitoringPolicy(budget=BudgetPolicy(retrains=0)), history)
    assert history.gain.ageing < AGEING / 2
    assert history.gain.losses == (1.0,) * 4
    promoted = history.estimate_gain(look(20, 19.9, None, generation=2))
    assert promoted.ageing == history.gain.ageing
    assert promoted.shift == 0.0
    assert promoted.judged_until is None


def test_retrains_that_are_left_over_make_the_next_one_cheaper() -> None:
    prices, history = [], History()
    for week in (10, 12, 14):
        evidence = look(week, 5, 0.5, 0.01, generation=1 + len(prices))
        decision, history = decided(evidence, None, history)
        assert decision.action == "retrain"
        history = history.finished("promoted", 1.0)
        prices.append(finding(decision, "probe").limit)
    assert prices == sorted(prices)
    assert prices[0] == pytest.approx(0.08 / math.sqrt(2), rel=1e-3)
    assert prices[-1] > 0.08


def test_a_price_in_money_is_compared_with_the_gain_until_the_next_retrain() -> None:
    """Six retrains in 28 windows are one in 4.67 windows, of 1,000 rows each, at a loss of 1 per row."""
    for price, action in ((1_000.0, "wait"), (500.0, "retrain")):
        policy = MonitoringPolicy(probe=ProbePolicy(price=price, price_per_error=1.0))
        decision, _ = decided(look(10, 9, 0.3, 0.001), policy)
        found = finding(decision, "probe")
        assert found.limit == pytest.approx(price / (1_000 * 28 / 6))
        assert decision.action == action
    unknown, _ = decided(look(10, 9, None), policy)
    assert "a gain has no price" in finding(unknown, "probe").sentence


def test_a_gain_is_not_overrated_in_an_easy_window() -> None:
    """A window with a tenth of the usual loss: a gain of half of it is a twentieth of what is usually lost."""
    hard = GainEstimate()
    for week in (3, 4, 5, 6):
        hard = hard.after(look(week, 2.9, 0.0, 0.01))
    easy = look(7, 2.9, 0.05, 0.001)
    assert easy.probe is not None
    easy = replace(easy, probe=replace(easy.probe, loss=0.1))
    assert hard.after(easy).expect(1.0) < 0.1


def test_the_retrain_after_a_change_comes_at_the_first_look_that_shows_it() -> None:
    quiet_weeks = History()
    for week in (10, 11, 12):
        decision, quiet_weeks = decided(look(week, 9.5, 0.0, 0.005), None, quiet_weeks)
        assert decision.action == "wait"
    decision, _ = decided(look(13, 9.5, 0.25, 0.02), None, quiet_weeks)
    assert decision.action == "retrain"
    assert decision.trigger == "probe"
