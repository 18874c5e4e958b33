"""How often the comparison beside the champion errs, by simulation, and what it says of cases whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from refit.gate.online_comparison import Arm, OnlineComparison, compare_blocked, compare_paired
from tests.support.simulated_challengers import Array, errors, wandering
from tests.support.simulation_sizes import at_most, sizes

REPEATS = 500
START = pd.Timestamp("2026-01-01", tz="UTC")

Metric = Callable[[Array], float]


def mae(losses: Array) -> float:
    return -float(losses.mean())


def rmse(losses: Array) -> float:
    """A root of a mean: on fewer rows it is smaller on average."""
    return -math.sqrt(float((losses**2).mean()))


def side(losses: Array, metric: Metric = mae, moments: Array | None = None) -> Arm:
    ticks = np.arange(len(losses)) if moments is None else moments
    times = pd.Series(START + pd.to_timedelta(ticks, unit="s"))
    return Arm(times, lambda at: metric(losses[at]))


def shadowed(rng: np.random.Generator, worse: float = 0.0) -> OnlineComparison:
    challenger, champion = errors(rng, 0.6, worse)
    return compare_paired(side(challenger), side(champion), 0.05, 50)


def drawn(
    rng: np.random.Generator, metric: Metric = mae, share: float = 0.1, requests: int = 2_000, worse: float = 0.0
):
    """Requests of one to nine rows that err alike, in times that do; a share of them goes to the canary."""
    sizes = rng.integers(1, 10, requests)
    request = np.repeat(np.arange(requests), sizes)
    hard = 0.7 * wandering(rng, 0.95, requests) + 0.7 * rng.normal(size=requests)
    losses = np.abs(hard[request] + rng.normal(size=len(request)))
    mine = (rng.random(requests) < share)[request]
    canary = side(losses[mine] * (1 + worse), metric, request[mine])
    return compare_blocked(canary, side(losses[~mine], metric, request[~mine]), 0.05, 50)


@sizes(REPEATS)
@pytest.mark.parametrize(
    "one", [shadowed, drawn, lambda rng: drawn(rng, rmse), lambda rng: drawn(rng, rmse, 0.02, 8_000)],
    ids=["shadow", "canary", "canary by a root", "canary of two percent"],
)  # fmt: skip
def test_one_that_is_as_good_is_found_different_in_five_percent(
    one: Callable[[np.random.Generator], OnlineComparison], repeats: int
) -> None:
    rng = np.random.default_rng(11)
    found = [one(rng) for _ in range(repeats)]
    assert all(contest.interval for contest in found)
    assert np.mean([contest.verdict != "not yet known" for contest in found]) <= at_most(0.05, repeats)


def test_the_interval_misses_a_true_difference_in_five_percent() -> None:
    rng = np.random.default_rng(12)
    missed = 0
    for _ in range(REPEATS):
        low, high = shadowed(rng, worse=0.05).interval or (0, 0)
        missed += not low <= -0.05 <= high
    assert missed / REPEATS <= at_most(0.05, REPEATS)


@pytest.mark.parametrize(("one", "worse"), [(shadowed, 0.07), (drawn, 0.15)], ids=["shadow", "canary"])
def test_one_that_is_worse_is_found(one: Callable[..., OnlineComparison], worse: float) -> None:
    """By shadow a loss near 0.8 that is higher by 0.07, by canary one that is higher by 15 %: other rows tell less."""
    rng = np.random.default_rng(13)
    assert np.mean([one(rng, worse=worse).verdict == "worse" for _ in range(200)]) >= 0.9


def test_a_known_case() -> None:
    noise = np.tile([0.01, -0.01], 200)
    found = compare_paired(side(np.full(400, 1.0) + noise), side(np.full(400, 1.5)), 0.05, 50)
    assert (found.verdict, found.blocks) == ("better", 8)
    assert (found.challenger, found.champion) == pytest.approx((-1.0, -1.5))
    assert found.difference == pytest.approx(0.5)
    turned = compare_paired(side(np.full(400, 1.5)), side(np.full(400, 1.0) + noise), 0.05, 50)
    assert (turned.verdict, turned.difference) == ("worse", pytest.approx(-0.5))


def test_few_rows_tell_nothing() -> None:
    few = compare_paired(side(np.ones(49)), side(np.zeros(49)), 0.05, 50)
    assert (few.verdict, few.interval, few.challenger) == ("not yet known", None, -1.0)
    assert "not enough data" in few.sentence
    nobody = compare_blocked(side(np.ones(0)), side(np.zeros(500)), 0.05, 50)
    assert (nobody.verdict, nobody.challenger, nobody.champion) == ("not yet known", None, 0.0)
    at_once = compare_paired(*(side(np.ones(400), moments=np.zeros(400)) for _ in range(2)), 0.05, 50)
    assert (at_once.blocks, at_once.interval) == (1, None), "one time is one block"


def test_rows_of_one_time_stay_in_one_block_and_the_champions_are_those_of_that_time() -> None:
    moments = np.repeat(np.arange(40), 10)
    calm, wild = np.where(moments < 20, 1.0, 5.0), np.where(np.arange(2_000) // 50 < 20, 1.0, 5.0)
    later = np.concatenate([wild, np.full(500, 100.0)])  # the champion alone, after the canary's last request
    found = compare_blocked(
        side(calm, moments=moments),
        side(later, moments=np.concatenate([np.arange(2_000) // 50, np.full(500, 90)])),
        0.05,
        50,
    )
    assert (found.difference, found.verdict) == (0.0, "not yet known")
