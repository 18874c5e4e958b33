"""A window against a reference, through every step: what marks a column, and what two windows make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from benchmarks.false_alarms import PLANTED, with_drift, without_drift
from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import compare_with_reference, make_reference
from refit.drift.domain_classifier import auc_noise, iterative_proportional_fit
from refit.drift.null_distribution import NullDistribution
from refit.drift.profile import build_profile
from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import Drift
from refit.windows import Window
from tests.support.simulation_sizes import least, most, sizes

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=7))


def normal(rows: int, seed: int, mean: float = 0.0, columns: int = 1) -> pa.Table:
    """Normal columns, the first about another mean."""
    z = np.random.default_rng(seed).normal(size=(rows, columns))
    z[:, 0] += mean
    return pa.table({**{f"x{place}": z[:, place] for place in range(columns)}, "at": np.arange(rows)})


def compared(old: pa.Table, new: pa.Table, policy: DriftPolicy | None = None) -> Drift:
    names = [name for name in old.column_names if name != "at"]
    data = build_profile([old], make_binning(old, names, old["at"].to_numpy(), count_blocks(old.num_rows)), "at")
    current = build_profile([new], data.current_binning(), "at")
    return compare_with_reference(make_reference(data, None, 0), current, None, WINDOW, policy or DriftPolicy())


def test_a_change_that_is_significant_but_small_is_no_drift() -> None:
    (found,) = compared(normal(50_000, 1), normal(5_000, 2, 0.12)).columns
    assert found.p_value < DriftPolicy().significance
    assert 0 < found.excess < DriftPolicy().size
    assert not found.drifted


def test_a_change_that_is_large_but_not_significant_is_no_drift() -> None:
    (found,) = compared(normal(50_000, 1), normal(200, 3, 0.2)).columns
    assert found.excess > DriftPolicy().size
    assert found.p_value > DriftPolicy().significance
    assert not found.drifted


def test_more_columns_ask_for_more_significance() -> None:
    old, new = normal(20_000, 4, columns=20), normal(300, 11, 0.29, columns=20)
    alone = compared(old.select(["x0", "at"]), new.select(["x0", "at"])).columns[0]
    among = compared(old, new).columns[0]
    assert alone.p_value == among.p_value
    assert DriftPolicy().significance / 20 < alone.p_value < DriftPolicy().significance
    assert (alone.drifted, among.drifted) == (True, False)


def test_what_counts_at_once_must_be_more_certain() -> None:
    policy = DriftPolicy(huge=0.05)
    old, new = normal(20_000, 4, columns=20), normal(300, 11, 0.29, columns=20)
    alone = compared(old.select(["x0", "at"]), new.select(["x0", "at"]), policy).columns[0]
    assert policy.significance / 10 < alone.p_value < policy.significance
    assert (alone.drifted, alone.excess > policy.huge, alone.huge) == (True, True, False)
    assert compared(normal(50_000, 1), normal(5_000, 7, 0.5), policy).huge == ("x0",)


def test_a_reference_without_enough_blocks_says_so_and_asks_for_more() -> None:
    small, large = normal(3_000, 5), normal(50_000, 5)
    half = normal(3_000, 6, 0.4)
    assert (compared(small, half).calibrated, compared(large, half).calibrated) == (False, True)
    assert (compared(small, half).drifted, compared(large, half).drifted) == ((), ("x0",))
    assert compared(small, normal(3_000, 6, 0.8)).drifted == ("x0",)


def test_fixed_thresholds_take_the_place_of_the_alarm() -> None:
    moved = normal(5_000, 7, 0.3)
    assert compared(normal(50_000, 1), moved).drifted == ("x0",)
    assert compared(normal(50_000, 1), moved, DriftPolicy(rules=("psi > 0.2 on any",))).drifted == ()
    assert compared(normal(50_000, 1), moved, DriftPolicy(rules=("ks > 0.1 on any",))).drifted == ("x0",)


@sizes(10, quick=3)
def test_every_change_is_found_by_two_windows_of_5000_rows(repeats: int) -> None:
    hits = np.sum([with_drift("unmoved", trial) for trial in range(repeats)], axis=0)
    enough = dict(zip(PLANTED, (hits >= least(repeats, 0.95)).tolist(), strict=True))
    assert enough == dict.fromkeys(PLANTED, True)


@sizes(4, quick=1)
@pytest.mark.parametrize("move", ["wandering", "weekly cycle"])
def test_rows_that_move_by_themselves_raise_no_alarm(move: str, repeats: int) -> None:
    fired = [alarm for trial in range(repeats) for alarm in without_drift(move, trial)]
    assert sum(fired) <= most(len(fired), 0.01)


def test_without_movement_the_p_value_is_that_of_chi_squared() -> None:
    terms = np.array([0.02, -0.03, 0.01, 0.015])
    found = NullDistribution(noise=0.0003, freedom=3.0).p_value(terms)
    assert found == pytest.approx(stats.chi2.sf(np.square(terms).sum() / 0.0003, 3), rel=1e-9)


def test_the_noise_of_the_auc_is_that_of_the_test_of_mann_and_whitney() -> None:
    one, other = np.random.default_rng(8).normal(size=(2, 300))
    found = stats.mannwhitneyu(one + 0.2, other, alternative="greater", method="asymptotic", use_continuity=False)
    auc = found.statistic / 300**2
    assert auc_noise(300, 300, found.pvalue) == pytest.approx(auc - 0.5, rel=1e-9)


def test_raking_gives_the_margins_and_keeps_the_odds() -> None:
    old, margins = np.random.default_rng(9).integers(20, 200, (2, 1, 2, 2)).astype(float)
    fitted = iterative_proportional_fit(old, margins)
    for axis in (1, 2):
        assert fitted.sum(axis=axis) == pytest.approx((margins / margins.sum()).sum(axis=axis), abs=1e-6)
    odds = stats.contingency.odds_ratio(old[0].astype(int), kind="sample").statistic
    assert fitted[0, 0, 0] * fitted[0, 1, 1] / (fitted[0, 0, 1] * fitted[0, 1, 0]) == pytest.approx(odds)
