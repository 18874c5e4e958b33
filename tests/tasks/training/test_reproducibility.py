"""The same rows, code, packages and seed give the same predictions, bit for bit, in fresh processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake

ROWS = 12_000
"""Above 10,000 rows histogram gradient boosting stops early, on rows that it draws at random."""

PROGRAM = """
import hashlib, json, sys
from datetime import UTC, datetime, timedelta

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from refit import Project, Window
from refit.records.references import SnapshotRef
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.training.train import train

def boosted():
    encoded = make_column_transformer((OrdinalEncoder(), ["station"]), remainder="passthrough")
    return make_pipeline(encoded, HistGradientBoostingRegressor(max_iter=40))

def linear(model):
    encoded = make_column_transformer((OneHotEncoder(), ["station"]), (StandardScaler(), ["x", "z"]))
    return lambda: make_pipeline(encoded, model)

def project(name, build, **changes):
    said = {"kind": "regression", "target": "y", "timestamp": "at", "features": ("station", "x", "z"), **changes}
    return Project(name=name, load=lambda window: pd.DataFrame(), build=build, **said)

start, rows = datetime(2026, 1, 1, tzinfo=UTC), int(sys.argv[1])
window = Window(start, start + timedelta(minutes=rows))
hashes = {}
for definition in (
    project("boosted", boosted),
    project("ridge", linear(Ridge())),
    project("logistic", linear(LogisticRegression()), kind="classification", target="high"),
):
    ref = SnapshotRef(definition.name, 0, window, rows, "f" * 32, labelled=True)
    frame = read_rows(definition, ref, list(definition.features))
    model = fetch_model(definition, train.fn(definition, ref, "k" * 32))
    method = getattr(model, "predict_proba", model.predict)
    hashes[definition.name] = hashlib.sha256(method(frame).tobytes()).hexdigest()
print(json.dumps(hashes))
"""


def write_tables(directory: Path) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, ROWS))
    y = np.sin(x) + 0.3 * z + rng.normal(size=ROWS)
    at = pd.date_range("2026-01-01", periods=ROWS, freq="min", tz="UTC").as_unit("us")
    station = rng.choice(["north", "south", "west"], ROWS)
    frame = pd.DataFrame({"at": at, "x": x, "z": z, "station": station, "y": y, "high": y > 0})
    for name in ("boosted", "ridge", "logistic"):
        shuffled = frame.sample(frac=1, random_state=1)
        write_deltalake(str(directory / name), shuffled)


def predictions(home: Path, tables: Path, mlflow_database: Path) -> dict[str, str]:
    """Trains in a fresh process, with a hash seed of its own; gives the hash of each model's predictions."""
    home.mkdir()
    shutil.copy(mlflow_database, home / "mlflow.db")
    settings = {"REFIT_HOME": str(home), "REFIT_STORE_URI": str(tables), "PYTHONHASHSEED": home.name}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROWS)],
        env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},  # two processes with as many threads as cores crawl
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return json.loads(process.stdout)


@pytest.mark.slow
def test_two_fresh_processes_predict_the_same(tmp_path: Path, empty_mlflow: Path) -> None:
    write_tables(tmp_path / "tables")
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(predictions, tmp_path / seed, tmp_path / "tables", empty_mlflow) for seed in ("1", "2")]
    first, second = [future.result() for future in started]
    assert first.keys() == {"boosted", "ridge", "logistic"}
    assert first == second
