"""An exception of a library, planted at each door, becomes one sentence that says whose it is and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import deltalake
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor

from refit import Project
from refit.errors import RefitError
from refit_deployments.output import command_output
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ledger import record
from refit_tasks.ledger.record import entries
from refit_tasks.registry import mlflow_client
from refit_tasks.simulation.backtest import read_history_rows
from refit_tasks.storage.delta import open_table
from refit_tasks.training.fit import fit

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FOREIGN = {
    "KeyError": KeyError("docks"),
    "ArrowInvalid": pa.ArrowInvalid("Could not convert 'x' with type str"),
    "ZeroDivisionError": ZeroDivisionError("division by zero"),
    "DTypePromotionError": np.exceptions.DTypePromotionError("no common type of str and float"),
}
NAMES = ("KeyError", "ArrowInvalid", "ZeroDivisionError", "DTypePromotionError", "Traceback")


def raiser(error: Exception) -> Callable[..., NoReturn]:
    def act(*_: object, **__: object) -> NoReturn:
        raise error

    return act


def lamps(**changes: Any) -> Project:
    frame = pd.DataFrame({"at": [NOON] * 20, "x": range(20), "y": np.arange(20.0)})
    parts = {"load": lambda _: frame, "build": DummyRegressor, **changes}
    return Project(name="lamps", kind="regression", target="y", timestamp="at", **parts)


class Faulty(RegressorMixin, BaseEstimator):
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def fit(self, X: Any, y: Any) -> NoReturn:  # noqa: ARG002, N803
        raise self.error or ValueError


OWN_CODE: dict[str, Callable[[Exception], object]] = {
    "load": lambda error: ingest.fn(lamps(load=raiser(error)), NOON.replace(day=2)),
    "load of a backtest": lambda error: read_history_rows(lamps(load=raiser(error)), NOON.replace(day=2)),
    "build": lambda error: fit(lamps(build=raiser(error)), lamps().load(None), {}),  # type: ignore[arg-type]
    "fit": lambda error: fit(lamps(build=lambda: Faulty(error)), lamps().load(None), {}),  # type: ignore[arg-type]
    "contract": lambda error: ingest.fn(lamps(expectations=raiser(error)), NOON.replace(day=2)),
}


def run(act: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended, command_output(as_json=False, debug=False):
        act()
    assert ended.value.code == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("refit: ")]
    return line


@pytest.mark.parametrize("door", OWN_CODE)
@pytest.mark.parametrize("error", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_error_of_the_projects_own_code_is_told_as_such(
    door: str, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    line = run(lambda: OWN_CODE[door](error), capfd)
    assert "the project" in line or "lamps" in line
    assert ": correct" in line or "refit check" in line
    assert "--debug" not in line
    assert open_table("lamps") is None
    assert entries() == []


@pytest.fixture(params=["store", "ledger", "registry"])
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Exception], object]]:
    places: dict[str, tuple[object, str, Callable[[], object]]] = {
        "store": (deltalake, "DeltaTable", lambda: open_table("lamps")),
        "ledger": (record, "reading", entries),
        "registry": (mlflow_client, "Settings", mlflow_client.open_mlflow),
    }
    module, name, act = places[request.param]

    def open_door(error: Exception) -> object:
        monkeypatch.setattr(module, name, raiser(error))
        return act()

    return open_door  # type: ignore[return-value]


@pytest.mark.parametrize("error", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_error_inside_refit_is_told_in_words_with_its_place(
    door: Callable[[Exception], object], error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    line = run(lambda: door(error), capfd)
    assert line.startswith("refit: Refit has met an error that it does not expect in refit_tasks.")
    assert line.endswith("run it again with --debug, and report the traceback")
    assert str(error) in line
    assert not [name for name in NAMES if name in line]


def test_a_refusal_of_refits_own_passes_unchanged(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(raiser(RefitError("the lamp is out: change it")), capfd) == "refit: the lamp is out: change it"


def test_the_error_goes_into_json_alike(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit), command_output(as_json=True, debug=False):
        raise KeyError(str(tmp_path))
    assert "does not expect (there is no " in capfd.readouterr().out
