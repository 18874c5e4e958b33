"""The benefit probe: what it is fitted on, what it is judged on, and what it finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from refit import Project, Window
from refit.modelling.trials import sample_paired
from refit.monitoring import benefit_probe as probing
from refit.monitoring.benefit_probe import choose_crossed, probe_benefit
from refit.monitoring.evidence import Probe
from refit.policies.monitoring import ProbePolicy

START, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)


def project(**changes: object) -> Project:
    said = {"build": LinearRegression, **changes}
    return Project(name="p", kind="regression", target="y", timestamp="at", load=pd.DataFrame, **said)


def rows(count: int, turned: int, seed: int = 0) -> pd.DataFrame:
    """A row an hour, whose slope turns at one of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    at = pd.date_range(START, periods=count, freq="h").as_unit("us")
    return pd.DataFrame(
        {"at": at, "x": x, "y": np.where(np.arange(count) < turned, 3, -3) * x + rng.normal(size=count)}
    )


def hours(first: int, last: int) -> Window:
    return Window(START + first * HOUR, START + last * HOUR)


def probed(
    history: pd.DataFrame, champion: Window, judge: Window, policy: ProbePolicy | None = None, **changes: object
):
    return probe_benefit(project(**changes), history, champion, judge, policy or ProbePolicy())


def test_a_changed_relation_is_a_gain_on_the_second_half_of_the_window() -> None:
    found = probed(rows(3_000, 2_000), hours(0, 2_000), hours(2_000, 3_000))
    assert isinstance(found, Probe)
    assert (found.window, found.rows) == (hours(2_500, 3_000), 500)
    assert found.gain == pytest.approx(found.loss, rel=0.3)
    assert found.share > 0.5
    assert found.gain > 5 * found.error
    assert 10 < found.blocks <= 50


def test_nothing_changed_is_no_gain() -> None:
    found = probed(rows(3_000, 3_000), hours(0, 2_000), hours(2_000, 3_000))
    assert isinstance(found, Probe)
    assert abs(found.share) < 0.02


def test_no_model_sees_what_is_judged_nor_labels_that_were_not_known() -> None:
    """The relation turns where the judged rows begin: who has seen none of them finds no gain."""
    for delay, share in ((0, 0.02), (200, 0.02)):
        found = probed(rows(3_000, 2_500), hours(0, 2_000), hours(2_000, 3_000), label_delay=delay * HOUR)
        assert isinstance(found, Probe)
        assert abs(found.share) < share
    late = probed(rows(3_000, 2_400), hours(0, 2_000), hours(2_000, 3_000), label_delay=200 * HOUR)
    known = probed(rows(3_000, 2_000), hours(0, 2_000), hours(2_000, 3_000))
    assert isinstance(late, Probe)
    assert isinstance(known, Probe)
    assert abs(late.share) < 0.02 < known.share


def test_a_window_that_the_champion_has_seen_or_that_is_too_small_gives_nothing() -> None:
    history = rows(3_000, 3_000)
    for champion, judge in ((hours(0, 3_000), hours(2_000, 3_000)), (hours(0, 2_900), hours(2_900, 3_000))):
        assert (
            probed(history, champion, judge)
            == "too few new mature rows are left to judge on, at least 100 are required"
        )
    few = probed(history, hours(0, 50), hours(2_000, 3_000))
    assert few == "only 50 labelled rows of the champion's training are left, 100 are required"


def test_models_are_small_until_the_history_has_grown_threefold() -> None:
    history, policy = rows(9_000, 9_000), ProbePolicy(rows=500)
    sizes = {}
    for end in (5_000, 5_900, 6_100, 7_000):
        found = probed(history[:end], hours(0, 2_000), hours(end - 1_000, end), policy)
        assert isinstance(found, Probe)
        sizes[end] = found.fitted
    assert sizes == {5_000: (500, 500), 5_900: (500, 500), 6_100: (2_000, 5_600), 7_000: (500, 500)}
    never = probed(history[:6_100], hours(0, 2_000), hours(5_100, 6_100), ProbePolicy(rows=500, growth=None))
    assert isinstance(never, Probe)
    assert never.fitted == (500, 500)


def test_in_a_sample_of_a_long_history_growth_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "MOST_ROWS", 6_000)
    found = probed(rows(6_100, 6_100), hours(0, 2_000), hours(5_100, 6_100), ProbePolicy(rows=500))
    assert isinstance(found, Probe)
    assert found.fitted == (500, 500)


def test_more_rows_are_worth_something_to_a_model_that_can_use_them() -> None:
    def build() -> DecisionTreeRegressor:
        return DecisionTreeRegressor(min_samples_leaf=20)

    found = probed(rows(6_100, 6_100), hours(0, 150), hours(5_100, 6_100), build=build)
    assert isinstance(found, Probe)
    assert found.share > 0.02
    assert found.gain > 3 * found.error


def test_the_winner_among_many_is_not_taken_at_its_word() -> None:
    """Models without skill: the best of ten looks better than the twin on its own blocks, and not on the others'."""
    rng, taken, best = np.random.default_rng(0), [], []
    for _ in range(300):
        twin, fresh = rng.normal(size=20), rng.normal(size=(10, 20))
        taken.append((fresh[choose_crossed(fresh), np.arange(20)] - twin).mean())
        best.append((fresh - twin).mean(axis=1).max())
    assert np.mean(best) > 0.3
    assert abs(np.mean(taken)) < 4 * np.std(taken) / 300**0.5


def test_draws_from_overlapping_parts_share_what_they_can() -> None:
    everything = pd.DataFrame({"x": range(1_000)})
    small, large = (sample_paired(part, 100, everything.index, 7) for part in (everything[200:500], everything))
    assert (len(small), len(large)) == (100, 100)
    assert small.index.is_monotonic_increasing
    assert set(large.index[(large.index >= 200) & (large.index < 500)]) <= set(small.index)
    assert sample_paired(everything[:100], 100, everything.index, 7).equals(everything[:100])
    assert not sample_paired(everything, 100, everything.index, 8).equals(large)


def test_a_small_window_finds_a_turn_that_only_its_own_rows_show() -> None:
    found = probed(rows(10_400, 10_000), hours(0, 5_000), hours(10_000, 10_400))
    assert isinstance(found, Probe)
    assert found.rows == 200
    assert found.gain > 5 * found.error
    assert found.share > 0.5
