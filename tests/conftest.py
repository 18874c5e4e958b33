"""What all tests share: a home of their own, an MLflow database, and one Prefect server for the whole session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from refit_infra.settings import QUIET, Settings, apply_environment
from tests.support.states import States

# A busy machine is not a failure.
hypothesis_settings.register_profile("refit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("refit")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty REFIT_HOME for each test."""
    directory = tmp_path / "home"
    monkeypatch.setenv("REFIT_HOME", str(directory))
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    return directory


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without any experiment of ours, made once: creating one takes seconds."""
    from refit_tasks.registry.mlflow_client import open_mlflow

    directory = tmp_path_factory.mktemp("mlflow") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_HOME", str(directory))
        open_mlflow()
    return directory / "mlflow.db"


@pytest.fixture
def mlflow_home(home: Path, empty_mlflow: Path) -> Path:
    """A REFIT_HOME with an MLflow database."""
    home.mkdir(mode=0o700)
    shutil.copy(empty_mlflow, home / "mlflow.db")
    return home


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """Homes that more than one test begins from."""
    return States(tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One place for the project files of all tests in turn: the code of a file is another one elsewhere."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server with an empty database, started once."""
    os.environ["REFIT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    apply_environment(Settings())
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real tables, where one is given."""
    given = os.environ.get("REFIT_REAL_DATA")
    if not given:
        pytest.skip("REFIT_REAL_DATA does not name a directory of real tables")
    return Path(given)
