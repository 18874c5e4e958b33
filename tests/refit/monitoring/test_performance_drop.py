"""A drop is significant and large, against the best that a champion was promoted with."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from refit import Project, Window
from refit.gate.evaluations import Evaluation
from refit.modelling.predictions import predict_once
from refit.modelling.scoring import score
from refit.monitoring.label_maturity import MatureWindow
from refit.monitoring.performance import Baseline, best_baseline, drop_p_value, measure_score
from refit.policies.monitoring import MonitoringPolicy, PerformancePolicy

START = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = Evaluation(0.8, (0.80, 0.82, 0.79, 0.81, 0.83, 0.75))
BAD = Evaluation(0.6, (0.60,) * 6)


def project(metric="accuracy", kind="classification", **policy) -> Project:
    return Project(
        name="p",
        kind=kind,
        target="y",
        timestamp="t",
        load=lambda _window: pd.DataFrame(),
        build=LogisticRegression,
        gate={"metric": metric},
        monitoring=MonitoringPolicy(performance=PerformancePolicy(**policy)),
    )


def window_of(truth) -> MatureWindow:
    window = Window(START, START + timedelta(hours=len(truth)))
    return MatureWindow(window, len(truth), int(truth.notna().sum()))


def judged(share_right, against, rows=1_000, missing=0, definition=None):
    """A model that always says 1, on rows of which some are."""
    model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [0, 1])
    truth = pd.Series((np.random.default_rng(0).permutation(rows) < share_right * rows).astype(float))
    truth[truth.index < missing] = np.nan
    times = pd.Series(pd.date_range(START, periods=rows, freq="h"))
    said = predict_once(model, pd.DataFrame({"a": np.zeros(rows)}))
    return measure_score(definition or project(), window_of(truth), said, truth, times, against)


def test_the_baseline_is_the_best_and_a_worse_champion_never_resets_it() -> None:
    found = best_baseline("accuracy", [("accuracy", BAD), ("roc_auc", Evaluation(0.99, ())), ("accuracy", GOOD)])
    assert found == Baseline("accuracy", GOOD, 2)
    assert best_baseline("accuracy", [("accuracy", GOOD), ("accuracy", BAD), ("accuracy", BAD)]).evaluation is GOOD
    assert best_baseline("f1", [("accuracy", GOOD)]) is None
    assert best_baseline("accuracy", [("accuracy", Evaluation(math.nan, ()))]) is None


def test_the_test_is_welchs() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(0.8, 0.02, 30), rng.normal(0.78, 0.05, 12)
    against = Baseline("accuracy", Evaluation(before.mean(), tuple(before)), 1)
    expected = ttest_ind(now, before, equal_var=False, alternative="less").pvalue
    assert drop_p_value(now.mean(), now, against) == pytest.approx(expected)


def test_the_best_of_several_is_harder_to_fall_below() -> None:
    now = np.full(10, 0.78) + np.arange(10) / 1_000
    alone = drop_p_value(0.78, now, Baseline("accuracy", GOOD, 1))
    assert drop_p_value(0.78, now, Baseline("accuracy", GOOD, 4)) == pytest.approx(1 - (1 - alone) ** 4)


def test_scores_without_any_spread() -> None:
    flat = Baseline("accuracy", Evaluation(0.8, (0.8,) * 6), 1)
    assert drop_p_value(0.8, np.full(6, 0.8), flat) == 1
    assert drop_p_value(0.7, np.full(6, 0.7), flat) == 0
    assert drop_p_value(0.7, np.full(4, 0.7), flat) is None


@pytest.mark.parametrize(("right", "dropped"), [(0.80, False), (0.9, False), (0.65, True)])
def test_a_drop_is_found(right, dropped) -> None:
    found = judged(right, Baseline("accuracy", GOOD, 1))
    assert (found.current, found.reference, found.dropped) == (pytest.approx(right), 0.8, dropped)
    assert found.change == pytest.approx(right - 0.8)
    assert found.interval[0] < right < found.interval[1] <= 1
    assert (found.rows, found.rows_mature, found.withheld) == (1_000, 1_000, None)


def test_what_is_significant_but_small_is_no_drop() -> None:
    against = Baseline("accuracy", Evaluation(0.8, (0.8,) * 49 + (0.801,)), 1)
    found = judged(0.77, against, rows=40_000, definition=project(drop=0.2))
    assert found.p_value < 0.001
    assert not found.dropped
    assert judged(0.77, against, rows=40_000).dropped


def test_without_a_baseline_there_is_a_score_and_no_test() -> None:
    found = judged(0.8, None)
    assert (found.reference, found.change, found.p_value, found.dropped) == (None, None, None, False)
    assert found.current == pytest.approx(0.8)


def test_too_few_labels_withhold_the_score_in_a_sentence() -> None:
    late = judged(0.8, Baseline("accuracy", GOOD, 1), missing=300)
    assert (late.current, late.interval, late.dropped, late.reference) == (None, None, False, 0.8)
    assert "70.0% of the" in late.withheld
    assert "refit labels" in late.withheld
    few = judged(0.8, None, rows=60)
    assert "have a label, at least 100" in few.withheld


def test_one_class_alone_withholds_what_needs_two() -> None:
    assert "not defined" in judged(1.0, None, definition=project("balanced_accuracy")).withheld
    assert judged(1.0, None).current == 1.0
    assert "one class" in judged(1.0, None, missing=20).withheld


def test_a_metric_without_weights_is_withheld_where_labels_are_missing() -> None:
    definition = project("neg_max_error", kind="regression")
    assert "takes no weights" in judged(0.8, None, missing=20, definition=definition).withheld


def test_where_the_reason_of_the_gap_matters_nothing_is_said() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.normal(size=2_000)})
    truth = pd.Series((rng.random(2_000) < 1 / (1 + np.exp(-1 * frame["a"]))).astype(float))
    said = predict_once(LogisticRegression().fit(frame, truth), frame)
    truth[(frame["a"] > frame["a"].quantile(0.9)) & (rng.random(2_000) < 0.9)] = np.nan
    times = pd.Series(pd.date_range(START, periods=2_000, freq="h"))
    assert "depending on why" in measure_score(project("roc_auc"), window_of(truth), said, truth, times, None).withheld


@pytest.mark.parametrize("kinds", [("no", "yes"), (0, 1), (False, True), (0.0, 1.0)], ids=str)
def test_labels_with_gaps_are_scored_like_those_without(kinds) -> None:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"a": rng.normal(size=1_000)})
    whole = pd.Series(np.array(kinds)[(frame["a"] + rng.normal(size=1_000) > 0).astype(int)])
    said = predict_once(LogisticRegression().fit(frame, whole), frame)
    times = pd.Series(pd.date_range(START, periods=1_000, freq="h"))
    gaps = whole.astype(object if isinstance(kinds[0], str) else float).where(rng.random(1_000) < 0.97)
    for metric in ("f1", "roc_auc", "accuracy"):
        found = measure_score(project(metric), window_of(gaps), said, gaps, times, None)
        assert found.current == pytest.approx(score(metric, said, whole), abs=0.01)
