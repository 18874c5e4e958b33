"""The state files of the first release are read, written and served on by today's code, without a step in between."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from refit.errors import CannotReproduce
from refit_infra.settings import Settings
from refit_tasks.backup.backup import back_up, restore
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import verify_ledger
from refit_tasks.registry.stored_model import fetch_model
from tests.support.first_release import unpack
from tests.support.homes import elsewhere
from tests.support.serving_home import serving
from tests.support.watched_project import refit

ROWS = {"rows": [{"id": 1, "x": 1.0}, {"id": 2, "x": -1.0}]}


def day(number: int) -> datetime:
    return datetime(2026, 3, number, tzinfo=UTC)


@pytest.fixture
def projects(home: Path, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That state as REFIT_HOME, and its project file."""
    directory = unpack(home, tmp_path / "first")
    monkeypatch.setenv("REFIT_PROJECTS", str(directory))
    return directory


def test_what_is_on_record_is_read(projects: Path) -> None:
    verified = refit("ledger", "verify")[1]
    assert (verified["entries"], verified["intact"], verified["compared"]) == (4, True, None)
    status = refit("status")[1]["projects"]["hours"]
    assert (status["champion"]["version"], status["quarantined"]) == (2, 8)
    assert refit("champion", "hours")[1]["champion"]["generation"] == 2
    assert refit("why", "4")[1]["payload"]["champion"]["version"] == 2
    assert "# hours version 2: fit to serve" in refit("card", "hours")[1]["card"]
    assert len(refit("quarantine", "hours", "list")[1]["rows"]) == 8
    assert refit("prune", "--dry-run")[1]["findings"] == []
    # What the alias follows is noted by now; every flow does the same.
    (noted,) = refit("doctor")[1]["findings"]
    assert noted["kind"] == "alias"
    assert "points to version" in noted["sentence"]
    assert refit("doctor")[1]["findings"] == []


@pytest.mark.slow
def test_versions_are_rebuilt_though_their_recipe_is_in_mlflow_alone(projects: Path) -> None:
    from refit_flows.reproduce import reproduce

    for version in (1, 2):
        found = reproduce("hours", version)
        assert (found.reproduced, found.difference, found.used_code) == (True, 0.0, "today's")
    file = projects / "hours.py"
    file.write_text(file.read_text() + "\n# as it is now\n")
    with pytest.raises(CannotReproduce, match="did not store it: check out the project file as it was"):
        reproduce("hours", 2)


@pytest.mark.slow
def test_rows_of_a_former_version_that_are_others_now_are_found_out(projects: Path) -> None:
    from deltalake import DeltaTable

    from refit_flows.reproduce import reproduce

    lost = DeltaTable(f"{Settings().tables}/hours", version=0).file_uris()
    Path(lost[0]).unlink()
    with pytest.raises(CannotReproduce, match="restore the table's files from a backup"):
        reproduce("hours", 1)


@pytest.mark.slow
def test_the_champion_serves_is_watched_and_is_followed_by_another(projects: Path, home: Path, tmp_path: Path) -> None:
    from refit_flows.monitor import monitor
    from refit_flows.retrain import retrain
    from refit_flows.score import score

    with serving(projects, "hours") as server:
        answer = server.ask("hours", ROWS)
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == 2
    assert monitor("hours", as_of=day(12)).decision.action == "wait"
    assert score("hours", as_of=day(12)).scored.champion.scored > 0
    outcome = retrain("hours", as_of=day(14), reason="test", force=False)
    assert (outcome.promotion is not None, verify_ledger()) == (True, 9)
    assert current_champion("hours").generation == 3

    back_up(tmp_path / "backup", day(15))
    shutil.rmtree(home)
    with elsewhere(tmp_path / "new"):
        restore(tmp_path / "backup")
        assert fetch_model(find_project("hours"), current_champion("hours").model), "MLflow knows where it lies now"
        assert (verify_ledger(), current_champion("hours").version) == (9, 3)


@pytest.mark.slow
def test_an_older_database_of_mlflow_is_migrated_as_its_own_tools_do(projects: Path, home: Path) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from sqlalchemy import NullPool, create_engine

    address = f"sqlite:///{home}/mlflow.db"
    configuration = _get_alembic_config(address)
    with create_engine(address, poolclass=NullPool).begin() as connection:
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "-1")
    upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", address]
    subprocess.run(upgrade, check=True, capture_output=True, timeout=120)
    assert "# hours version 2: fit to serve" in refit("card", "hours")[1]["card"]
    assert refit("reproduce", "hours", "2")[1]["reproduced"]


def test_a_newer_database_of_mlflow_is_named_with_the_way_out(projects: Path, home: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    run, answer = refit("doctor")
    assert run.returncode == 1
    assert answer["error"] == (
        f"the MLflow database is of another MLflow version: install that version, or run `refit backup DIRECTORY`, "
        f"then `mlflow db upgrade sqlite:///{home}/mlflow.db`"
    )
    run, made = refit("backup", str(tmp_path / "backup"))
    assert (run.returncode, made["entries"]) == (0, 4)
