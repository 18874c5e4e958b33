"""Doctor and prune look after the predictions' table, and touch nothing of a server that writes to it meanwhile."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refit_infra.settings import Settings
from refit_tasks.maintenance.doctor import repair_state
from refit_tasks.maintenance.prune import prune
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.predictions_table import PARTITION, append, predictions_of
from tests.support.prediction_batches import ASKED, held, some

NAME = predictions_of("parcels")
NOW = datetime.now(UTC)


@pytest.fixture
def days(mlflow_home: Path) -> Path:
    """A table with four predictions of each of the last four days."""
    for day in range(4):
        append("parcels", some(asked=replace(ASKED, scored_at=NOW - timedelta(days=day)), first=4 * day), f"day {day}")
    return Path(Settings().tables) / NAME


def leave(directory: Path) -> list[Path]:
    left = [
        directory / f"{PARTITION}=2026-01-01" / "part-00000-lost.zstd.parquet",
        directory / f"{PARTITION}=2026-01-01" / "part-00000-torn.zstd.parquet#1",
        directory / "_delta_log" / "_commit_torn.json.tmp",
    ]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return left


def test_the_doctor_leaves_what_a_server_may_be_writing(days: Path) -> None:
    left = leave(days)
    assert repair_state() == []
    assert all(file.exists() for file in left)
    for file in left:
        os.utime(file, (1, 1))
    assert [finding.kind for finding in repair_state()] == ["table"] * 3
    assert not any(file.exists() for file in left)
    assert repair_state() == []
    assert len(held()) == 16


def test_the_doctor_waits_with_a_table_that_is_not_born(mlflow_home: Path) -> None:
    unborn = Path(Settings().tables) / predictions_of("unborn")
    leave(unborn)
    assert repair_state() == []
    os.utime(unborn, (1, 1))
    assert [finding.kind for finding in repair_state()] == ["table"]
    assert not unborn.exists()


def test_old_predictions_go_by_whole_days_where_a_setting_says_so(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prune("parcels", hours=0) == []
    monkeypatch.setenv("REFIT_KEEP_PREDICTIONS_DAYS", "1.5")
    days_kept = sum((NOW - timedelta(days=day)).date() >= (NOW - timedelta(days=1.5)).date() for day in range(4))
    found = prune("parcels", hours=0, dry_run=True)
    assert len(held()) == 16
    assert found[0] in prune("parcels", hours=0)
    assert len(held()) == 4 * days_kept
    assert prune("parcels", hours=0) == []
    assert len(open_table(NAME).file_uris()) == len({*days.rglob("*.parquet")})
    assert append("parcels", some(), "day 3") == 0
