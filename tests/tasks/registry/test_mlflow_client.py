import os
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pytest

from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment

CREATE = """
from refit_tasks.registry.mlflow_client import require_experiment, open_mlflow
results.put(require_experiment(open_mlflow(), "rentals"))
"""


def test_six_processes_at_once_find_one_database_and_one_experiment(race, home: Path) -> None:
    which = "\nresults.put(os.stat(f\"{os.environ['REFIT_HOME']}/mlflow.db\").st_ino)"
    assert set(race(CREATE + which, 6)) == {"1", (home / "mlflow.db").stat().st_ino}
    client = open_mlflow()
    experiment = client.get_experiment(require_experiment(client, "rentals"))
    assert experiment.artifact_location == (home / "mlartifacts" / "rentals").as_uri()
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_creation_leaves_all_or_nothing(race, home: Path) -> None:
    moments, drafts = np.random.default_rng(7), 0
    for _ in range(10):
        race(
            "import os, signal, threading\n"
            "threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
            + CREATE
            + "\nimport time; time.sleep(60)",
            1,
            delay=moments.uniform(0.05, 1.5),
            killed=True,
        )
        drafts += any(home.glob("mlflow.draft*"))
        for database in home.glob("mlflow.db"):
            with closing(sqlite3.connect(database)) as connection:
                assert connection.execute("SELECT count(*) FROM experiments").fetchone()[0] >= 1
            for file in home.glob("mlflow.db*"):
                file.unlink()
    assert drafts > 0
    assert race(CREATE, 1) == ["1"]
    assert not any(home.glob("mlflow.draft*"))


def test_each_home_has_its_own_store_and_the_environment_stays_as_it_was(
    mlflow_home: Path, tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_experiment(open_mlflow(), "rentals")
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert Settings().mlflow_database == mlflow_home / "mlflow.db"
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == f"sqlite:///{mlflow_home}/mlflow.db"

    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    assert open_mlflow().get_experiment_by_name("rentals") is None
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/other/mlflow.db"


def test_a_server_that_the_user_has_set_is_used(
    home: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = f"sqlite:///{empty_mlflow}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert open_mlflow().tracking_uri == server
    assert os.environ["MLFLOW_TRACKING_URI"] == server
    assert not home.exists()


def test_a_database_that_is_there_is_opened_as_it_is(mlflow_home: Path) -> None:
    before = (mlflow_home / "mlflow.db").stat()
    open_mlflow()
    open_mlflow()
    after = (mlflow_home / "mlflow.db").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not list(mlflow_home.glob("mlflow.draft*"))


def test_a_deleted_experiment_is_restored(mlflow_home: Path) -> None:
    client = open_mlflow()
    number = require_experiment(client, "rentals")
    client.delete_experiment(number)
    assert require_experiment(client, "rentals") == number
    assert client.get_experiment(number).lifecycle_stage == "active"


def test_a_home_below_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StateError, match="set REFIT_HOME to a place"):
        open_mlflow()
