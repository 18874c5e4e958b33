"""A project's alarms are measured on the rows that its champion was trained on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sklearn.dummy import DummyRegressor

from refit import MonitoringPolicy, Project, Window
from refit.drift.power import CHANGES, CalibrationResult, apply_change
from refit.errors import NotEnoughData, ProjectError
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_deployments.actions.simulate import describe_calibration
from refit_infra.settings import Settings
from refit_tasks.simulation import alarm_calibration as measured
from refit_tasks.training.train import train

START, ROWS = datetime(2026, 1, 1, tzinfo=UTC), 20_000

pytestmark = pytest.mark.usefixtures("mlflow_home")


def project(**monitoring: object) -> Project:
    return Project(
        name="bikes", kind="regression", target="y", timestamp="at", load=pd.DataFrame, build=DummyRegressor,
        features=("temperature", "weather"), monitoring=MonitoringPolicy(**monitoring),
    )  # fmt: skip


@pytest.fixture
def champion(monkeypatch: pytest.MonkeyPatch, mlflow_home) -> Champion:
    monkeypatch.setattr(measured, "STRETCHES", 6)
    monkeypatch.setattr(measured, "CHANGED_STRETCHES", 2)
    rng = np.random.default_rng(0)
    at = pd.date_range(START, periods=ROWS, freq="min").as_unit("us")
    weather = rng.choice(["sun", "cloud", "rain"], ROWS, p=[0.6, 0.3, 0.1])
    rows = pd.DataFrame(
        {"at": at, "temperature": rng.normal(size=ROWS), "weather": weather, "y": rng.normal(size=ROWS)}
    )
    write_deltalake(f"{Settings().tables}/bikes", rows)
    ref = SnapshotRef("bikes", 0, Window(START, START + timedelta(minutes=ROWS)), ROWS, "f" * 32, labelled=True)
    model: ModelRef = train.fn(project(), ref, "k" * 32)
    return Champion(model, 1, 1, START)


def test_rows_that_do_not_drift_raise_no_alarm_and_planted_changes_do(champion: Champion) -> None:
    found = measured.calibrate_alarms(project(window=timedelta(hours=33)), champion, 0)
    assert found.calibrated
    assert (found.windows, found.false_alarm_rate) == (6, 0.0)
    assert set(found.power) == {"mean + 0.2 sd", "scale x 1.25", "missing + 10 points", "category shares 0.1"}
    assert found.power["missing + 10 points"] == 1.0
    assert found.as_json()["limit"] == 0.01
    assert (found.length, found.window_rows, found.reference_rows) == (timedelta(hours=33), 1_980, ROWS - 2 * 1_980)
    assert found.interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 6)))
    assert found.found["missing + 10 points"] == {"temperature": 1.0, "weather": 1.0}


def test_a_change_of_whole_numbers_keeps_them_whole_and_is_as_large_as_it_says() -> None:
    rng = np.random.default_rng(1)
    whole = pa.chunked_array([rng.poisson(3, 20_000)])
    for change, mean, spread in ((CHANGES[0], 0.2, 1.0), (CHANGES[1], 0.0, 1.25)):
        moved = apply_change(whole, change, whole, rng).to_numpy()
        assert (moved == np.floor(moved)).all()
        assert (moved.mean() - 3) / np.sqrt(3) == pytest.approx(mean, abs=0.03)
        assert moved.std() / np.sqrt(3) == pytest.approx(spread, abs=0.1)  # rounding adds a little


def test_what_a_person_reads_tells_the_sizes_and_the_weakest_column() -> None:
    found = {"mean + 0.2 sd": {"heat": 1.0, "wind": 0.5}, "missing + 10 points": {"heat": 1.0, "wind": 1.0}}
    result = CalibrationResult("bikes", timedelta(hours=36), 1_500, 9_000, 20, 1, calibrated=True, found=found)
    text = "\n".join(describe_calibration(result))
    assert "windows of 1.5 days, about 1,500 rows, against a reference of about 9,000 rows" in text
    assert "5.0% of 20 windows without a change raise an alarm (0.1% to 24.9% at 95 %); the limit is 1%" in text
    assert "75.0% detected within two windows: mean + 0.2 sd; lowest in wind, 50%" in text
    assert text.endswith("missing + 10 points")


def test_windows_without_rows_enough_are_a_sentence(champion: Champion) -> None:
    with pytest.raises(NotEnoughData, match="set a longer"):
        measured.calibrate_alarms(project(window=timedelta(minutes=30)), champion, 0)
    with pytest.raises(ProjectError, match="has no drift policy"):
        measured.calibrate_alarms(project(drift=None), champion, 0)
