"""The replay: every policy lives through the same past and sees only what was known."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from refit import GatePolicy, MonitoringPolicy, Project, TrainingPolicy
from refit.backtest.history import FIRST_WINDOWS, LabelledHistory
from refit.backtest.policies import NEVER, PRESETS, Preset, make_preset
from refit.backtest.replay import replay_history
from refit.backtest.results import BacktestResult
from refit.errors import NotEnoughData
from refit.policies.monitoring import BudgetPolicy, DriftPolicy, PerformancePolicy

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOWS, ROWS, TURN = 10, 400, 5


def project(**changes: object) -> Project:
    said = {"build": LinearRegression, "training": TrainingPolicy(window="all", holdout_rows=200), **changes}
    return Project(name="p", kind="regression", target="y", timestamp="at", load=pd.DataFrame, **said)


def rows(turn: int = TURN, seed: int = 0) -> pd.DataFrame:
    """A row an hour; in the window `turn` the relation turns, and the feature begins to lie elsewhere."""
    rng, count = np.random.default_rng(seed), WINDOWS * ROWS
    turned = np.arange(count) >= turn * ROWS
    x = rng.normal(size=count) + np.where(turned, 2, 0)
    at = pd.date_range(START, periods=count, freq="h").as_unit("us")
    return pd.DataFrame({"at": at, "x": x, "y": np.where(turned, -3, 3) * x + rng.normal(size=count)})


def trainings(result: BacktestResult, name: str) -> list[int]:
    """The windows at whose end a policy trained."""
    return [event.window for event in result.policies[name].events if event.what == "retrain"]


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    names = ("every_window", "every_4th", "fixed_psi", "performance_drop", "default")
    return replay_history(project(), rows(), {name: PRESETS[name] for name in names}, WINDOWS)


def test_never_is_always_there_and_everything_is_relative_to_it(result: BacktestResult) -> None:
    assert next(iter(result.policies)) == NEVER
    never = result.policies[NEVER]
    assert (never.relative_loss, never.trainings, never.promotions) == (1.0, 0, 0)
    assert set(never.champions) == {1}
    for each in result.policies.values():
        assert each.relative_loss == pytest.approx(each.loss / never.loss)
        assert len(each.losses) == WINDOWS - FIRST_WINDOWS == len(result.scored)
        assert each.regret >= 0
        assert each.promotions == each.champions[-1] - 1


def test_each_policy_trains_when_its_rule_says(result: BacktestResult) -> None:
    assert trainings(result, "every_window") == list(range(FIRST_WINDOWS, WINDOWS - 1))
    assert trainings(result, "every_4th") == [5]
    for name in ("fixed_psi", "performance_drop", "default"):
        assert trainings(result, name)[0] == TURN, name
    assert result.policies["default"].loss < 0.6 * result.policies[NEVER].loss


def test_policies_that_train_on_the_same_rows_share_the_training(result: BacktestResult) -> None:
    asked = sum(each.trainings for each in result.policies.values())
    assert result.fits < 2 * (asked + 1), "each training is a judged fit and one on all rows"
    alone = replay_history(project(), rows(), {"every_window": PRESETS["every_window"]}, WINDOWS)
    twice = replay_history(project(), rows(), {"one": PRESETS["every_window"], "two": PRESETS["every_window"]}, WINDOWS)
    assert twice.fits == alone.fits
    assert twice.policies["one"] == twice.policies["two"] == alone.policies["every_window"]


def test_nothing_is_known_before_its_time() -> None:
    """What comes later cannot change what was decided or lost before."""
    names = ("performance_drop", "default")
    whole = replay_history(project(), rows(), {name: PRESETS[name] for name in names}, WINDOWS)
    other = replay_history(project(), rows(turn=8), {name: PRESETS[name] for name in names}, WINDOWS)
    for name in names:
        first, second = whole.policies[name], other.policies[name]
        assert first.losses[: TURN - FIRST_WINDOWS] == second.losses[: TURN - FIRST_WINDOWS]
        assert [e for e in first.events if e.window < TURN] == [e for e in second.events if e.window < TURN]


@pytest.mark.parametrize(("windows", "first"), [(0.0, TURN), (0.5, TURN + 1), (1.0, TURN + 2)])
def test_labels_that_come_late_are_learned_from_late(windows: float, first: int) -> None:
    """Rows that show the change have to be labelled, and a fresh model needs some a label delay before them."""
    late = project(label_delay=windows * ROWS * timedelta(hours=1))
    result = replay_history(late, rows(), {"default": PRESETS["default"]}, WINDOWS)
    assert trainings(result, "default")[0] == first


def test_where_labels_come_very_late_the_first_champion_serves_later() -> None:
    late = project(label_delay=2 * ROWS * timedelta(hours=1))
    result = replay_history(late, rows(), {"every_window": PRESETS["every_window"]}, WINDOWS)
    assert len(result.scored) == WINDOWS - 5
    assert trainings(result, "every_window") == list(range(5, WINDOWS - 1))


def test_mature_rows_are_those_whose_delay_has_passed() -> None:
    delay = timedelta(hours=100)
    past = LabelledHistory.from_rows(project(label_delay=delay), rows(), WINDOWS)
    as_of = past.windows[3].end
    assert past.newest(past.mature(as_of)) <= as_of - delay + timedelta(microseconds=1)
    assert past.count(past.mature(as_of)) == 4 * ROWS - 100 + 1
    assert past.count(past.mature(START)) == 0


def test_it_is_the_same_with_an_executor(result: BacktestResult) -> None:
    names = ("every_window", "every_4th", "fixed_psi", "performance_drop", "default")
    with ThreadPoolExecutor(1) as executor:
        other = replay_history(project(), rows(), {name: PRESETS[name] for name in names}, WINDOWS, executor)
    assert other == result


def test_the_gate_stands_between_a_training_and_its_service() -> None:
    strict = project(gate=GatePolicy(floor=-1.0))  # a mean absolute error that is reached before the turn alone
    result = replay_history(strict, rows(), {"every_window": PRESETS["every_window"]}, WINDOWS)
    every = result.policies["every_window"]
    assert every.promotions < every.trainings
    assert {event.what for event in every.events} == {"retrain", "promotion", "rejection"}


def test_the_budget_holds_over_any_28_windows() -> None:
    eager = MonitoringPolicy(
        drift=DriftPolicy(rules=("psi > 0 on any",), persistence=(1, 1), then="retrain"),
        performance=None,
        budget=BudgetPolicy(retrains=2, burst=2),
    )
    result = replay_history(project(), rows(), {"eager": make_preset(eager)}, WINDOWS)
    assert trainings(result, "eager") == [2, 3]


def test_alerts_are_told_and_change_nothing() -> None:
    watching = Preset(MonitoringPolicy(drift=None, probe=None, performance=PerformancePolicy(then="alert")))
    result = replay_history(project(), rows(), {"watching": watching}, WINDOWS)
    assert result.policies["watching"].losses == result.policies[NEVER].losses


@pytest.mark.parametrize(
    ("count", "windows", "why"), [(100, 10, "are too few for"), (400, 10, "no champion was promoted")]
)
def test_too_few_rows_are_said(count: int, windows: int, why: str) -> None:
    with pytest.raises(NotEnoughData, match=why):
        replay_history(project(), rows()[:count], {}, windows)


def test_json_has_the_keys_of_the_design(result: BacktestResult) -> None:
    said = result.as_json()
    assert {"project", "policies", "windows"} <= set(said)
    told = said["policies"]["default"]
    numbers = {name: told[name] for name in ("loss", "relative_loss", "trainings", "promotions", "regret")}
    assert all(math.isfinite(value) for value in numbers.values())
    assert set(told) == {*numbers, "interval", "losses", "trained_after"}
    assert said["scored"] == len(told["losses"]) == WINDOWS - FIRST_WINDOWS
    assert np.mean(told["losses"]) == pytest.approx(told["loss"])
    assert told["trained_after"] == trainings(result, "default")
    low, high = told["interval"]
    assert low <= told["relative_loss"] <= high
