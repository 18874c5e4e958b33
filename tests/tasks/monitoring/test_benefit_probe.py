"""The probe reads the mature rows of a real table, and finds a change of the concept in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from sklearn.linear_model import LinearRegression

from refit import MonitoringPolicy, Project, Window
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_infra.settings import Settings
from refit_tasks.monitoring.performance import run_probe

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TRAINED, DAYS, A_DAY = 50, 64, 96


def bikes(**changes: object) -> Project:
    said = {"kind": "regression", "target": "rentals", "features": ("temperature",), **changes}
    return Project(name="bikes", timestamp="at", load=pd.DataFrame, build=LinearRegression, **said)


@pytest.fixture
def champion() -> Champion:
    rows = SnapshotRef("bikes", 0, Window(START, START + TRAINED * DAY), A_DAY * TRAINED, "f" * 32, labelled=True)
    return Champion(ModelRef("bikes", "run", "models:/m", rows, "key"), 1, 1, START)


def fill(slope_after: float) -> None:
    """Writes a row every quarter of an hour, whose slope changes when the champion's training window ends."""
    rng, rows = np.random.default_rng(0), A_DAY * DAYS
    temperature = rng.normal(size=rows)
    slope = np.where(np.arange(rows) < A_DAY * TRAINED, 3.0, slope_after)
    at = pd.date_range(START, periods=rows, freq="15min").as_unit("us")
    frame = pd.DataFrame({"at": at, "temperature": temperature, "rentals": slope * temperature + rng.normal(size=rows)})
    write_deltalake(f"{Settings().tables}/bikes", frame)


def test_a_changed_concept_is_a_gain(champion: Champion) -> None:
    fill(-3.0)
    found = run_probe.fn(bikes(), champion, START + DAYS * DAY, 14 * DAY)
    assert found is not None
    assert found.window.end == START + DAYS * DAY - timedelta(minutes=15) + timedelta(microseconds=1)
    assert found.share > 0.3
    assert found.gain > 4 * found.error
    assert found.seconds > 0


def test_no_change_is_no_gain(champion: Champion) -> None:
    fill(3.0)
    found = run_probe.fn(bikes(), champion, START + DAYS * DAY, 14 * DAY)
    assert found is not None
    assert found.share < 0.02


def test_nothing_is_read_where_nothing_has_matured_or_nothing_is_asked(champion: Champion) -> None:
    assert run_probe.fn(bikes(), champion, START + DAYS * DAY, 14 * DAY) is None
    fill(-3.0)
    assert run_probe.fn(bikes(), champion, START + TRAINED * DAY, 14 * DAY) is None
    assert run_probe.fn(bikes(label_delay=20 * DAY), champion, START + DAYS * DAY, 14 * DAY) is None
    assert run_probe.fn(bikes(monitoring=MonitoringPolicy(probe=None)), champion, START + DAYS * DAY, 14 * DAY) is None


def test_labels_that_are_not_known_yet_are_not_looked_at(champion: Champion) -> None:
    fill(-3.0)
    found = run_probe.fn(bikes(label_delay=3 * DAY), champion, START + DAYS * DAY, 14 * DAY)
    assert found is not None
    assert found.window.end <= START + (DAYS - 3) * DAY + timedelta(microseconds=1)
