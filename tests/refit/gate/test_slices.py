"""How rows are cut, what is lost in each slice, and when a slice is worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression

from refit import GatePolicy, Project
from refit.errors import ProjectError
from refit.gate.evidence import Slice
from refit.gate.slices import check_slices, cut_slices, measure_slices
from refit.modelling.predictions import Predictions
from tests.support.simulated_challengers import Fixed

ROWS = 1_200
RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {
        "at": pd.date_range("2026-01-01", periods=ROWS, freq="h", tz="UTC"),
        "town": pd.Series(RNG.choice(["north", "south", "islet"], ROWS, p=[0.6, 0.35, 0.05])),
        "open": RNG.random(ROWS) < 0.5,
        "order": [f"o{row}" for row in range(ROWS)],
        "wind": np.where(RNG.random(ROWS) < 0.25, np.nan, RNG.normal(size=ROWS)),
        "late": RNG.random(ROWS) < 0.4,
    }
)


def project(**gate: Any) -> Project:
    return Project(
        name="m",
        kind="classification",
        target="late",
        timestamp="at",
        load=pd.DataFrame,
        build=LogisticRegression,
        gate=GatePolicy(**gate),
    )


def test_rows_are_cut_by_category_truth_value_missing_number_and_time_of_day() -> None:
    found = cut_slices(project(), FRAME)
    quarters = {f"time of day = {hour:02d} to {hour + 6:02d} h UTC" for hour in (0, 6, 12, 18)}
    towns = {"town = north", "town = south"}  # the third has too few rows
    assert set(found) == quarters | towns | {"open = True", "open = False", "wind = missing"}
    assert np.array_equal(found["town = south"], np.flatnonzero(FRAME["town"] == "south"))
    assert np.array_equal(found["wind = missing"], np.flatnonzero(FRAME["wind"].isna()))
    assert [len(places) for places in found.values()] == sorted(map(len, found.values()), reverse=True)


def test_smaller_slices_count_where_the_policy_says_so() -> None:
    assert "town = islet" in cut_slices(project(slice_rows=50), FRAME)


def test_the_project_names_columns_and_numbers_are_cut_into_quarters() -> None:
    found = cut_slices(project(slices=("wind",)), FRAME)
    assert len(found) == 5
    assert sum(map(len, found.values())) == ROWS
    assert "wind = missing" in found
    assert cut_slices(project(slices=()), FRAME) == {}
    assert len(cut_slices(project(slices=("time of day",)), FRAME)) == 4


def test_missing_categories_are_a_slice() -> None:
    gone = FRAME.assign(town=FRAME["town"].where(FRAME["town"] != "south").astype("category"))
    assert np.array_equal(cut_slices(project(), gone)["town = missing"], np.flatnonzero(FRAME["town"] == "south"))


def test_a_table_of_days_has_no_times_of_day() -> None:
    days = FRAME.assign(at=FRAME["at"].dt.floor("D"))
    assert not [name for name in cut_slices(project(), days) if name.startswith("time of day")]


def test_of_many_slices_the_largest_forty_are_kept() -> None:
    many = pd.concat([FRAME] * 5, ignore_index=True).assign(order=[f"o{row % 60}" for row in range(5 * ROWS)])
    assert len(cut_slices(project(slices=("order",), slice_rows=50), many)) == 40


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ProjectError, match=r"gate.slices names 'city', which is not a column: use one of at, town"):
        cut_slices(project(slices=("city",)), FRAME)


class Echo(RegressorMixin, BaseEstimator):
    """Predicts what the only column says."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        return X.iloc[:, 0].to_numpy()


def compare_errors(
    places: dict[str, np.ndarray], one: np.ndarray, other: np.ndarray, times: pd.Series
) -> tuple[Slice, ...]:
    """Compares two models whose absolute errors are given, in a regression of zeros."""
    models = tuple(Predictions(Echo(), pd.DataFrame({"error": errors})) for errors in (one, other))
    return measure_slices(places, "neg_mean_absolute_error", models, pd.Series(np.zeros(len(one))), times)


CHANCE = 1 / (1 + np.exp(5 - 3 * np.random.default_rng(5).normal(size=20_000)))
RARE = pd.Series((np.random.default_rng(6).random(len(CHANCE)) < CHANCE).astype(int))
HOURS = pd.Series(range(len(RARE)))
WHOLE = {"all": np.arange(len(RARE))}


def saying(chance: np.ndarray) -> Predictions:
    return Predictions(Fixed(chance), pd.DataFrame(index=range(len(chance))))


def balanced(chance: np.ndarray) -> np.ndarray:
    """What a model with class_weight="balanced" says: odds that are higher by the ratio of the classes."""
    odds = chance / (1 - chance) * (1 - RARE.mean()) / RARE.mean()
    return odds / (1 + odds)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "balanced_accuracy"])
def test_a_class_weight_is_no_loss_where_the_metric_ranks_or_balances(metric: str) -> None:
    trivial = saying(np.full(len(RARE), RARE.mean()))
    found = measure_slices(WHOLE, metric, (saying(balanced(CHANCE)), trivial), RARE, HOURS)
    assert found[0].metric == metric
    assert found[0].challenger < found[0].other
    assert judged(*found)[0]


def test_a_class_weight_is_a_loss_where_the_metric_asks_for_probabilities() -> None:
    trivial = saying(np.full(len(RARE), RARE.mean()))
    found = measure_slices(WHOLE, "neg_brier_score", (saying(balanced(CHANCE)), trivial), RARE, HOURS)
    assert not judged(*found)[0]


def test_a_slice_that_is_ranked_upside_down_is_found_by_a_ranking_metric() -> None:
    half = {"a = 1": np.arange(len(RARE) // 2), "a = 2": np.arange(len(RARE) // 2, len(RARE))}
    upside_down = np.where(np.arange(len(RARE)) < len(RARE) // 2, 1 - CHANCE, CHANCE)
    passed, _, sentence = judged(*measure_slices(half, "roc_auc", (saying(upside_down), saying(CHANCE)), RARE, HOURS))
    assert not passed
    assert "in 1 of 2 slices" in sentence
    assert "where a = 1" in sentence


def test_a_slice_of_one_class_is_named_and_not_tested() -> None:
    places = {"a = 1": np.flatnonzero(RARE == 0), "a = 2": np.arange(len(RARE))}
    found = measure_slices(places, "roc_auc", (saying(CHANCE), saying(CHANCE)), RARE, HOURS)
    passed, _, sentence = judged(*found)
    assert passed
    assert "in none of 1 slices" in sentence
    assert "1 slice is not tested, such as where a = 1: roc_auc is undefined where all" in sentence


def test_rows_of_one_time_stay_in_one_block() -> None:
    """Six days of 200 rows; each day has an effect of its own, which no two blocks may share."""
    days = pd.Series(np.repeat(np.arange(6), 200))
    (found,) = compare_errors({"all": np.arange(ROWS)}, days.to_numpy(float), np.zeros(ROWS), days)
    assert found.gains == (0, -1, -2, -3, -4, -5)
    assert (found.rows, found.challenger, found.other) == (ROWS, 2.5, 0)


def test_a_slice_has_twenty_blocks_at_most_and_five_where_it_can() -> None:
    losses, times = np.ones(ROWS), pd.Series(range(ROWS))
    found = compare_errors({"all": np.arange(ROWS), "few": np.arange(60)}, losses, losses * 2, times)
    assert [len(each.gains) for each in found] == [20, 5]


def test_models_that_differ_by_day_are_equal_in_each_slice_in_five_percent() -> None:
    """Ten days of 300 rows; the rows of one day and town err alike, so that they are hardly more than one."""
    rng, rejected = np.random.default_rng(0), 0
    days = np.repeat(np.arange(10), 300)
    for _ in range(200):
        town = rng.integers(0, 4, len(days))
        one, other = (2 + rng.normal(size=(10, 4))[days, town] + rng.normal(size=len(days)) for _ in range(2))
        places = {f"town = {name}": np.flatnonzero(town == name) for name in range(4)}
        found = compare_errors(places, one, other, pd.Series(days))
        rejected += not check_slices(found, GatePolicy(slice_loss=0), with_champion=True).passed
    assert rejected <= 200 * (0.0125 + 3 * 0.00786)


def slice_of(name: str, rise: float, certain: bool = True, blocks: int = 10) -> Slice:
    spread = 0.001 if certain else 10.0
    gains = tuple(-rise + spread * (-1) ** each for each in range(blocks))
    return Slice(name, 500, 1 + rise, 1.0, gains)


def judged(*found: Slice, with_champion: bool = True) -> tuple[bool, float | None, str]:
    reason = check_slices(found, GatePolicy(), with_champion=with_champion)
    assert (reason.check, reason.limit) == ("slices", 0.1)
    return reason.passed, reason.value, reason.sentence


def test_a_slice_fails_that_is_worse_certainly_and_by_enough() -> None:
    assert judged(slice_of("a = 1", 0.05))[0]
    assert judged(slice_of("a = 1", 0.5, certain=False))[0]
    passed, value, sentence = judged(slice_of("a = 1", 0.2), slice_of("a = 2", 0.5), slice_of("a = 3", -0.5))
    assert (passed, value) == (False, 0.5)
    assert "in 2 of 3 slices: by 50.0% where a = 2 (500 rows); by 20.0% where a = 1 (500 rows)" in sentence


def test_the_rival_is_named() -> None:
    assert "the champion" in judged(slice_of("a", 0.2))[2]
    assert "a trivial model" in judged(slice_of("a", 0.2), with_champion=False)[2]


def test_a_first_champion_serves_with_a_warning_of_its_weak_slice() -> None:
    weak = replace(slice_of("meal = SC", 0.37), metric="roc_auc", error=0.01, freedom=9.0)
    passed, value, sentence = judged(weak, slice_of("meal = BB", -0.5), with_champion=False)
    assert (passed, value) == (True, pytest.approx(0.37))
    assert sentence.startswith("warning, as nothing would serve without a first champion: its loss is significantly")
    assert "by 37.0% where meal = SC (500 rows)" in sentence
    assert not judged(weak)[0]
    former = slice_of("meal = SC", 0.37)  # as a former release has recorded it
    assert not judged(former, with_champion=False)[0]


def test_a_slice_as_good_as_trivial_names_the_rival() -> None:
    assert "a trivial model" in judged(slice_of("a", 0.0), with_champion=False)[2]


def test_more_slices_ask_for_more_certainty() -> None:
    """One slice with a chance of 0.4 % by itself falls alone, and not among ten."""
    gains = tuple(-0.2 + each for each in (-0.18, 0.18) * 5)
    doubtful, others = Slice("a", 500, 1.2, 1.0, gains), [slice_of(f"b = {each}", -0.1) for each in range(9)]
    assert not judged(doubtful)[0]
    assert judged(doubtful, *others)[0]


def test_too_few_blocks_prove_nothing_and_without_slices_nothing_is_asked() -> None:
    assert judged(slice_of("a", 0.5, blocks=4))[0]
    assert judged()[0]


def test_a_loss_where_the_champion_had_none_is_a_rise_without_a_number() -> None:
    found = Slice("a", 500, 0.2, 0.0, (-0.2, -0.21, -0.19, -0.2, -0.2))
    passed, value, _ = judged(found)
    assert (passed, value) == (False, None)
