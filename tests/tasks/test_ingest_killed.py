"""An ingest that is killed at any moment and run again leaves each row once, in the table or in the quarantine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import Settings
from tasks.delta import open_table, read
from tasks.quarantine_table import all_rejected

PROGRAM = """
import os, random, signal, sys, time
from datetime import UTC, datetime, timedelta
import great_expectations, numpy as np, pandas as pd
from sklearn.dummy import DummyRegressor
import tasks.commit, tasks.ingest, tasks.quarantine_table
from refit import Project

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
    done = tasks.ingest.ingest.fn(project, START + timedelta(seconds=seconds))
    print(done.rows_in, done.accepted, done.quarantined, flush=True)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def attempt(prepare, name, seconds, kill_after=None):
    child = os.fork()  # the libraries are imported, their threads have not been started
    if not child:
        prepare()
        run(name, seconds)
        os._exit(0)
    if kill_after:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]

def before(module, name):
    return lambda: setattr(module, name, die)

def after(module, name):
    step = getattr(module, name)
    return lambda: setattr(module, name, lambda *given: (step(*given), die()))

deaths = []
for seconds in (8000, 9000):
    for point in (
        before(tasks.quarantine_table, "write"), after(tasks.quarantine_table, "write"), before(tasks.ingest, "commit"),
        before(tasks.commit, "write"), after(tasks.commit, "write"),
    ):
        deaths.append(attempt(point, "killed", seconds))
started = time.monotonic()
attempt(lambda: None, "other", 9000)
whole = time.monotonic() - started
moments = random.Random(sys.argv[1])
for number in range(5):
    attempt(lambda: None, "killed", 9100 + 100 * number, moments.uniform(0.3, 1.0) * whole)
attempt(lambda: None, "killed", 10_000)
print(deaths.count(signal.SIGKILL))
"""


@pytest.mark.parametrize("key", ["key", ""], ids=["key", "no key"])
def test_killed_at_any_moment_then_run_again(key: str) -> None:
    command = [sys.executable, "-c", PROGRAM, key]
    run = subprocess.run(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True, check=True)
    *_, last, deaths = run.stdout.splitlines()
    assert (last, int(deaths)) == ("10000 9900 100", 10)
    ids = [k for part in read(open_table("killed"), ["id"]) for k in part["id"].to_pylist()]
    assert sorted(ids) == [k for k in range(10_000) if k % 100 != 7]
    rejected = [row.as_json()["row"]["id"] for row in all_rejected(open_table("killed__quarantine"))]
    assert sorted(rejected) == [k for k in range(10_000) if k % 100 == 7]
    assert [path.name for path in Settings().staging.iterdir()] == ["lock"]
