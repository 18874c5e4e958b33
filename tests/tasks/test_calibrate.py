"""A project's alarms are measured on the rows that its champion was trained on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.dummy import DummyRegressor

from infra.settings import Settings
from refit import MonitoringPolicy, Project, Window
from refit.errors import NotEnoughData, ProjectError
from refit.models import Champion, ModelRef
from refit.snapshots import SnapshotRef
from tasks import calibrate as measured
from tasks.train import train

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
    monkeypatch.setattr(measured, "PLANTED", 2)
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
    found = measured.calibrate(project(window=timedelta(hours=33)), champion, 0)
    assert found.calibrated
    assert (found.windows, found.false_alarm_rate) == (6, 0.0)
    assert set(found.power) == {"mean + 0.2 sd", "scale x 1.25", "missing + 10 points", "category shares 0.1"}
    assert found.power["missing + 10 points"] == 1.0
    assert found.as_json()["limit"] == 0.01


def test_windows_without_rows_enough_are_a_sentence(champion: Champion) -> None:
    with pytest.raises(NotEnoughData, match="set a longer"):
        measured.calibrate(project(window=timedelta(minutes=30)), champion, 0)
    with pytest.raises(ProjectError, match="does not watch drift"):
        measured.calibrate(project(drift=None), champion, 0)
