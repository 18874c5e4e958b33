"""What the tests of flows share: an MLflow database that is there already, and depots with and without a champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.states import States, emptied
from tests.support.watched_project import Depot


@pytest.fixture(autouse=True)
def begun(mlflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ONNX form is made for each champion; where flows are the subject, it is not."""
    monkeypatch.setenv("REFIT_SERVING_FORM", "scikit-learn")
    return mlflow_home


@pytest.fixture
def depot(place: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Depot:
    """A depot that has no champion yet."""
    depot = Depot(emptied(place))
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    return depot


@pytest.fixture
def trained(depot: Depot, states: States) -> Depot:
    """A depot whose first champion was made on day 40, by a person."""
    states.begin("retrained on day 40", lambda: depot.retrain(40))
    return depot


@pytest.fixture
def monitored(depot: Depot, states: States) -> Depot:
    """A depot whose first champion was made on day 40, by the monitor."""
    states.begin("monitored on day 40", lambda: depot.monitor(40))
    return depot
