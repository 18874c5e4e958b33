"""Columns in which all rows but a few hold one value have bins, whatever the value is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from refit import Project, Window
from refit.backtest.worker_functions import build_reference, measure_drift
from refit.records.drift_findings import Drift

START = datetime(2026, 2, 1, tzinfo=UTC)
GAUGES = Project(
    name="gauges",
    kind="classification",
    target="y",
    timestamp="at",
    load=lambda _: pd.DataFrame(),
    build=DummyClassifier,
)


def hours(rows: int, usual: float, odd: dict[int, float]) -> pd.DataFrame:
    values = np.full(rows, usual)
    values[list(odd)] = list(odd.values())
    at = pd.date_range(START, periods=rows, freq="1h").as_unit("us")
    return pd.DataFrame({"at": at, "rain": values, "y": np.arange(rows) % 2})


def rain(drift: Drift) -> float:
    return next(column.psi for column in drift.columns if column.column == "rain")


@pytest.mark.parametrize("usual", [0.0, 3.0, -(2.0**60), 0.1])
@pytest.mark.parametrize("odd", [0.5, -0.5, 1e-12, 1e12])
@pytest.mark.parametrize("place", [0, 1_000, 1_999])
def test_one_odd_value_among_equal_ones_is_no_division_by_zero(usual: float, odd: float, place: int) -> None:
    reference = build_reference(GAUGES, hours(2_000, usual, {place: usual + odd}))
    window = Window(START, START + timedelta(hours=500))
    quiet = measure_drift(GAUGES, reference, hours(500, usual, {}), window, GAUGES.monitoring.drift)
    moved = measure_drift(GAUGES, reference, hours(500, usual + 7, {}), window, GAUGES.monitoring.drift)
    assert np.isfinite(rain(quiet))
    if abs(usual) < 1e15:
        assert rain(moved) > rain(quiet) + 1
