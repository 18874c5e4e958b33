"""The rows of a backtest without a table: those that an ingest would accept by their time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sklearn.dummy import DummyRegressor

from refit import Project
from refit.sources import csv
from refit_tasks.simulation.backtest import read_history_rows


def test_rows_whose_time_cannot_be_read_are_left_out(tmp_path: Path, home: Path) -> None:
    (tmp_path / "a.csv").write_text("at,y\n2026-01-01T02:00:00+02:00,1\nsoon,2\n,3\n2026-01-02,4\n")
    load = csv(tmp_path / "*.csv", "at")
    given = {"kind": "regression", "target": "y", "timestamp": "at", "load": load, "build": DummyRegressor}
    rows = read_history_rows(Project(name="soon", **given), datetime(2026, 2, 1, tzinfo=UTC))
    assert list(rows["y"]) == [1, 4]
    assert list(rows["at"]) == [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
