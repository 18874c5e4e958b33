"""Labelled rows stand for all rows: by what was predicted for the others, and by what their labels may be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from refit.modelling.predictions import predict_once
from refit.monitoring.label_correction import (
    group_by_label,
    group_by_prediction,
    weights_by_label,
    weights_by_prediction,
)

ROWS = 40_000


@pytest.fixture
def sample():
    rng = np.random.default_rng(3)
    strata = rng.integers(0, 5, ROWS)
    return rng, strata, (rng.random(ROWS) < (strata + 1) / 7).astype(int)


def test_weights_stand_for_every_row(sample) -> None:
    rng, strata, truth = sample
    labelled = rng.random(ROWS) < 0.9
    assert weights_by_prediction(strata, labelled).sum() == pytest.approx(ROWS)
    assert weights_by_label(strata, truth, labelled).sum() == pytest.approx(ROWS)


def test_labels_that_are_late_by_prediction_are_made_up_for(sample) -> None:
    rng, strata, truth = sample
    labelled = rng.random(ROWS) < 1 - strata / 10
    share = np.average(truth[labelled], weights=weights_by_prediction(strata, labelled))
    assert abs(truth[labelled].mean() - truth.mean()) > 0.03
    assert share == pytest.approx(truth.mean(), abs=0.005)


def test_labels_that_are_late_by_value_are_made_up_for(sample) -> None:
    rng, strata, truth = sample
    labelled = rng.random(ROWS) < 1 - 0.25 * truth
    share = np.average(truth[labelled], weights=weights_by_label(strata, truth, labelled))
    assert abs(truth[labelled].mean() - truth.mean()) > 0.05
    assert share == pytest.approx(truth.mean(), abs=0.015)


@pytest.mark.parametrize("model", [LogisticRegression(), LinearRegression(), DummyRegressor()])
def test_every_stratum_has_a_labelled_row(model) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"a": rng.normal(size=300)})
    model.fit(frame, (frame["a"] > 0).astype(int))
    labelled = frame["a"].to_numpy() > -0.5
    strata = group_by_prediction(predict_once(model, frame), labelled)
    assert set(strata) == set(strata[labelled])


def test_classes_without_a_labelled_row_join_the_usual_one() -> None:
    frame = pd.DataFrame({"a": np.repeat([-9.0, 0.0, 9.0], 30)})
    model = LogisticRegression(max_iter=1_000).fit(frame, np.repeat(["low", "middle", "high"], 30))
    strata = group_by_prediction(predict_once(model, frame), frame["a"].to_numpy() < 1)
    assert set(strata) == set(strata[:60])


def test_numbers_are_grouped_by_tenths() -> None:
    truth = pd.Series([*range(100), None], dtype=float)
    groups = group_by_label(truth, truth.notna().to_numpy(), classes=False)
    assert np.bincount(groups[:100]).tolist() == pytest.approx([10] * 10, abs=1)
