"""Seeded hostile model files, whole archives with other numbers: no crash of the process, one sentence each."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from refit.errors import ModelError
from refit_tasks.registry.model_store import FILE, load_model, save_model

FIRST_SEEDS, CHUNK = (0, 150), 50
MEMORY_BYTES = 4 << 30
MODELS = (
    LogisticRegression,
    lambda: RandomForestClassifier(2, max_depth=3, random_state=0),
    lambda: GradientBoostingClassifier(n_estimators=2, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=2),
    lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="kd_tree")),
    SVC,
)


def change_content(name: str, content: bytes, rng: np.random.Generator) -> bytes:
    """Changes numbers of the schema, or values of an array behind its header."""
    if name == "schema.json":
        places = [found.span() for found in re.finditer(rb"(?<=[ \[\"])\d+(?=[,\]\"])", content)]
        start, end = places[rng.integers(len(places))]
        return content[:start] + str(rng.choice([-1, 0, 7, 1 << 31, 1 << 62])).encode() + content[end:]
    changed = bytearray(content)
    first = min(128, len(changed) - 1) if rng.random() < 0.9 else 0
    for place in rng.integers(first, len(changed), 1 + rng.integers(6)):
        changed[place] = rng.integers(256)
    return bytes(changed)


def change_archive(whole: bytes, rng: np.random.Generator) -> bytes:
    with ZipFile(BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in rng.choice(sorted(parts), 1 + rng.integers(2)):
        parts[name] = change_content(name, parts[name], rng)
    sink = BytesIO()
    with ZipFile(sink, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return sink.getvalue()


def load_hostile(directory: Path, seeds: range) -> dict[str, int]:
    """Loads changed files and predicts with what is loaded; counts the outcomes."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(90, 3))
    target = np.digitize(rows[:, 0], [-0.4, 0.4])
    wholes = []
    for place, make in enumerate(MODELS):
        save_model(make().fit(rows, target), directory / str(place))
        wholes.append((directory / str(place) / FILE).read_bytes())
    outcomes = {"refused": 0, "loaded": 0, "refused at length": 0}
    for seed in seeds:
        changed = change_archive(wholes[seed % len(wholes)], np.random.default_rng(seed))
        (directory / FILE).write_bytes(changed)
        print(seed, flush=True)  # noqa: T201 - the last line names the seed that ended the process
        outcomes[try_model(directory, rows)] += 1
    return outcomes


def try_model(directory: Path, rows: np.ndarray) -> str:
    try:
        model: Any = load_model(directory, ())
    except ModelError as refused:
        return "refused" if "\n" not in str(refused) and len(str(refused)) < 1_000 else "refused at length"
    with suppress(Exception):  # what a model raises is its own error, and no crash
        model.predict(rows)
    return "loaded"


def main() -> None:
    """Runs in a process of its own, with the directory and the range of seeds as arguments."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    found = load_hostile(Path(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3])))
    print(json.dumps(found))  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST_SEEDS)
def test_no_hostile_file_ends_the_process(first: int, tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path), str(first), str(first + CHUNK)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, f"seed {run.stdout.split()[-1:]}: {run.stderr[-2_000:]}"
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["refused"] > 0
    assert found["refused"] + found["loaded"] == CHUNK


if __name__ == "__main__":
    main()
