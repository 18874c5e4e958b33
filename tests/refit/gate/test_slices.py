"""How rows are cut, what is lost in each slice, and when a slice is worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from refit import GatePolicy, Project
from refit.errors import ProjectError
from refit.gate.evidence import Slice
from refit.gate.slices import check_slices, cut_slices, measure_slices, paired_losses, row_losses
from refit.modelling.predictions import Predictions

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


FEATURES = FRAME[["open"]].astype(float)


def test_losses_are_of_probabilities_of_classes_or_of_numbers() -> None:
    truth = FRAME["late"].map({True: "late", False: "in time"})
    model = LogisticRegression().fit(FEATURES, truth)
    chance = model.predict_proba(FEATURES)[:, 1]
    assert np.allclose(row_losses(Predictions(model, FEATURES), truth), 2 * (chance - FRAME["late"]) ** 2)
    classes = Predictions(LinearSVC().fit(FEATURES, truth), FEATURES)
    assert np.array_equal(row_losses(classes, truth), classes.model.predict(FEATURES) != truth)
    numbers = LinearRegression().fit(FEATURES, FRAME.index)
    assert np.allclose(
        row_losses(Predictions(numbers, FEATURES), pd.Series(FRAME.index)),
        np.abs(numbers.predict(FEATURES) - FRAME.index),
    )


def test_two_models_are_compared_by_what_both_can_say() -> None:
    truth = FRAME["late"].map({True: "late", False: "in time"})
    one, trivial = LinearSVC().fit(FEATURES, truth), DummyClassifier(strategy="prior").fit(FEATURES, truth)
    losses = paired_losses(Predictions(one, FEATURES), Predictions(trivial, FEATURES), truth)
    assert set(np.unique(losses)) == {0.0, 1.0}
    assert losses[1].mean() == pytest.approx(FRAME["late"].mean())


def test_a_class_that_the_model_has_never_seen_costs_what_it_said_of_others() -> None:
    model = LogisticRegression().fit(FEATURES, FRAME["late"].map({True: "late", False: "in time"}))
    losses = row_losses(Predictions(model, FEATURES), pd.Series(["lost"] * ROWS))
    assert np.all((losses >= 0.5) & (losses <= 1))


def test_rows_of_one_time_stay_in_one_block() -> None:
    """Six days of 200 rows; each day has an effect of its own, which no two blocks may share."""
    days = pd.Series(np.repeat(np.arange(6), 200))
    (found,) = measure_slices({"all": np.arange(ROWS)}, days.to_numpy(float), np.zeros(ROWS), times=days)
    assert found.gains == (0, -1, -2, -3, -4, -5)
    assert (found.rows, found.challenger, found.other) == (ROWS, 2.5, 0)


def test_a_slice_has_twenty_blocks_at_most_and_five_where_it_can() -> None:
    losses, times = np.ones(ROWS), pd.Series(range(ROWS))
    found = measure_slices({"all": np.arange(ROWS), "few": np.arange(60)}, losses, losses * 2, times=times)
    assert [len(each.gains) for each in found] == [20, 5]


def test_models_that_differ_by_day_are_equal_in_each_slice_in_five_percent() -> None:
    """Ten days of 300 rows; the rows of one day and town err alike, so that they are hardly more than one."""
    rng, rejected = np.random.default_rng(0), 0
    days = np.repeat(np.arange(10), 300)
    for _ in range(200):
        town = rng.integers(0, 4, len(days))
        one, other = (2 + rng.normal(size=(10, 4))[days, town] + rng.normal(size=len(days)) for _ in range(2))
        places = {f"town = {name}": np.flatnonzero(town == name) for name in range(4)}
        found = measure_slices(places, one, other, times=pd.Series(days))
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
