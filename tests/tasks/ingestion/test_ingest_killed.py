"""An ingest that is killed at any moment and run again leaves each row once, in the table or in the quarantine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from refit_infra.settings import Settings
from refit_tasks.storage.delta import open_table, read
from refit_tasks.storage.quarantine_table import read_quarantine

PROGRAM = """
import random, signal, sys, time
from datetime import UTC, datetime, timedelta
import great_expectations, numpy as np, pandas as pd
from sklearn.dummy import DummyRegressor
import refit_tasks.ingestion.upsert, refit_tasks.ingestion.ingest, refit_tasks.ingestion.quarantine
from refit import Project
from tests.support.killed_work import after, attempt, before

START = datetime(2026, 1, 1, tzinfo=UTC)

def load(window):
    for part in range(10):
        ids = np.arange(part * 1000, part * 1000 + 1000)
        frame = pd.DataFrame({"id": ids, "at": START + pd.to_timedelta(ids, unit="s"), "x": ids * 0.5, "y": 1.0})
        frame.loc[frame["id"] % 100 == 7, "x"] = np.inf
        yield frame[window.holds(frame["at"])]

def run(name, seconds):
    project = Project(name=name, kind="regression", target="y", timestamp="at", key=("id",) if sys.argv[1] else (),
                      load=load, build=DummyRegressor, expectations=lambda: [],
                      ingestion={"piece_rows": 5000, "lateness": timedelta(days=1)})
    done = refit_tasks.ingestion.ingest.ingest.fn(project, START + timedelta(seconds=seconds))
    print(done.rows_in, done.accepted, done.quarantined, flush=True)

def ingesting(name, seconds):
    return lambda: run(name, seconds)

deaths = []
for seconds in (8000, 9000):
    for point in (
        before(refit_tasks.ingestion.quarantine, "write"), after(refit_tasks.ingestion.quarantine, "write"),
        before(refit_tasks.ingestion.ingest, "commit_batch"),
        before(refit_tasks.ingestion.upsert, "write"), after(refit_tasks.ingestion.upsert, "write"),
    ):
        deaths.append(attempt(ingesting("killed", seconds), point))
started = time.monotonic()
attempt(ingesting("other", 9000))
whole = time.monotonic() - started
moments = random.Random(sys.argv[1])
for number in range(5):
    attempt(ingesting("killed", 9100 + 100 * number), kill_after=moments.uniform(0.3, 1.0) * whole)
attempt(ingesting("killed", 10_000))
print(deaths.count(signal.SIGKILL))
"""


@pytest.mark.parametrize("key", [pytest.param("key", id="key"), pytest.param("", id="no key", marks=pytest.mark.slow)])
def test_killed_at_any_moment_then_run_again(key: str) -> None:
    command = [sys.executable, "-c", PROGRAM, key]
    run = subprocess.run(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], text=True, check=True)
    *_, last, deaths = run.stdout.splitlines()
    assert (last, int(deaths)) == ("10000 9900 100", 10)
    ids = [k for part in read(open_table("killed"), ["id"]) for k in part["id"].to_pylist()]
    assert sorted(ids) == [k for k in range(10_000) if k % 100 != 7]
    rejected = [row.as_json()["row"]["id"] for row in read_quarantine(open_table("killed__quarantine"))]
    assert sorted(rejected) == [k for k in range(10_000) if k % 100 == 7]
    assert [path.name for path in Settings().staging.iterdir()] == ["lock"]
