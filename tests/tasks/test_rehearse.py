"""The rehearsal: a stored model is loaded and asked in a fresh process, however the rows are written down."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from refit import Project
from refit.errors import ModelError
from refit.gate.serving import parity
from refit.serving import answer, conformed, kinds_of
from tasks import rehearse as rehearse_module
from tasks.model_store import save_model
from tasks.planted import TYPES
from tasks.rehearse import rehearse_directory
from tests.tasks.strange_models import Crashing, Moody

ROWS = pd.DataFrame(
    {
        "town": pd.array(["north", "south", None, "north"] * 50, dtype="str"),
        "size": pd.Categorical(["s", "m", "s", "m"] * 50),
        "count": np.arange(200) % 7,
        "weight": np.linspace(0, 1, 200),
        "at": pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC"),
    }
)
TARGET = (ROWS["count"] + 2 * ROWS["weight"] > 4).map({True: "late", False: "soon"})


def definition(*features: str) -> Project:
    return Project(
        name="parcels",
        kind="classification",
        target="late",
        timestamp="at",
        features=features,
        load=pd.DataFrame,
        build=LogisticRegression,
        trusted_types=(*TYPES, "tests.tasks.strange_models.Crashing", "tests.tasks.strange_models.Moody"),
    )


def pipeline():
    codes = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough"),
        LogisticRegression(),
    )


FEATURES = ("town", "size", "count", "weight")


def test_a_good_model_serves_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    features = ROWS[list(FEATURES)]
    save_model(pipeline().fit(features, TARGET), tmp_path / "model")
    found = rehearse_directory(definition(*FEATURES), tmp_path / "model", ROWS)
    assert parity(found).passed, found
    assert found.difference is not None
    assert found.difference <= 1e-12
    assert [case.name for case in found.cases] == [
        "column order",
        "an extra column",
        "types",
        "missing column",
        "unseen category",
        "single rows",
    ]
    assert found.latency_ms is not None
    assert found.size_bytes == sum(file.stat().st_size for file in (tmp_path / "model").iterdir())


def test_a_model_that_looks_at_places_instead_of_names_is_given_them_by_name(tmp_path: Path) -> None:
    numbers = ROWS[["count", "weight"]]
    save_model(LinearRegression().fit(numbers, ROWS["count"]), tmp_path / "model")
    regression = definition("count", "weight").model_copy(update={"kind": "regression"})
    assert parity(rehearse_directory(regression, tmp_path / "model", ROWS)).passed


@pytest.mark.parametrize(("kind", "told"), [(Crashing, "code 3"), (Moody, "answers differ by up to")])
def test_what_goes_wrong_there_is_a_verdict(kind: type, told: str, tmp_path: Path) -> None:
    features = ROWS[["count", "weight"]]
    save_model(kind(LogisticRegression().fit(features, TARGET)), tmp_path / "model")
    reason = parity(rehearse_directory(definition("count", "weight"), tmp_path / "model", ROWS))
    assert not reason.passed
    assert told in reason.sentence


def test_a_model_that_cannot_be_loaded_or_takes_too_long_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    assert "holds no model.skops" in str(rehearse_directory(definition("count"), tmp_path / "model", ROWS).fault)
    save_model(LogisticRegression().fit(ROWS[["count"]], TARGET), tmp_path / "good")
    monkeypatch.setattr(rehearse_module, "MOST_SECONDS", 0.0)
    assert "had not answered" in str(rehearse_directory(definition("count"), tmp_path / "good", ROWS).fault)
    monkeypatch.undo()
    assert parity(rehearse_directory(definition("count"), tmp_path / "good", ROWS)).passed


def test_the_room_is_left_when_its_owner_is_killed(tmp_path: Path) -> None:
    save_model(LogisticRegression().fit(ROWS[["count"]], TARGET), tmp_path / "model")
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from tasks import rehearse, rehearsal_process
        from tests.tasks.test_rehearse import ROWS, definition
        found = rehearse.rehearse_directory(definition("count"), Path({str(tmp_path / "model")!r}), ROWS)
        print(rehearsal_process.ROOM.pid, found.fault, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=120, check=False
    )
    pid, fault = run.stdout.split()
    assert fault == "None", run.stderr
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    pytest.fail(f"the room's process {pid} lives on")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop(columns="weight"), "the column 'weight' is missing"),
        (lambda rows: rows.assign(weight="heavy"), "'weight' holds texts where the model knows numbers"),
        (lambda rows: rows.assign(town=1), "'town' holds integers where the model knows texts"),
        (lambda rows: rows.assign(at="today"), "'at' holds texts where the model knows times"),
    ],
)
def test_the_door_refuses_what_it_cannot_make_fit(change, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        conformed(kinds_of(ROWS), change(ROWS))


def test_the_door_makes_fit_what_it_can() -> None:
    kinds = kinds_of(ROWS)
    sent = ROWS.assign(
        extra=1,
        count=ROWS["count"].astype(float),
        weight=1,
        town=ROWS["town"].astype("category"),
        size=ROWS["size"].astype("str"),
        at=ROWS["at"].dt.tz_convert("+02:00"),
    )[["extra", *reversed(ROWS.columns)]]
    got = conformed(kinds, sent)
    assert list(got.columns) == list(ROWS.columns)
    assert [str(dtype) for dtype in got.dtypes] == ["str", "category", "int64", "float64", "datetime64[us, UTC]"]
    assert got["town"].isna().sum() == 50
    model = pipeline().fit(ROWS[list(FEATURES)], TARGET)
    assert (
        answer(model, kinds_of(ROWS[list(FEATURES)]), sent.assign(weight=ROWS["weight"]), "predict")
        == model.predict(ROWS[list(FEATURES)])
    ).all()
