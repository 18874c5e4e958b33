"""The whole loop on real services: a scheduled monitor, two workers, PostgreSQL, an object store.

The tests tell one story, in their order: a stack for each would take a minute more.
"""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
import sqlalchemy

from refit_infra.settings import Settings
from tests.support.running_stack import Standing
from tests.support.running_up import ENDED, HOURLY, NOW, SCHEDULED, until_now, wait_for
from tests.support.serving_home import serving

FLOWS, UNDER_WAY = ("monitor", "retrain"), {"PENDING", "RUNNING"}
FIRST = f"{NOW - timedelta(days=20):%Y-%m-%dT%H:%M}"


def family(stack: Standing) -> list[psutil.Process]:
    return psutil.Process(stack.process.pid).children(recursive=True)


def service(stack: Standing, words: str) -> psutil.Process | None:
    """The stack's own process whose command line holds some words; `None` while it is being started again."""
    found = [one for one in stack.processes(words) if one.status() != psutil.STATUS_ZOMBIE]
    return found[0] if found else None


def killed(stack: Standing, words: str) -> None:
    """Kills one as a crash does, and waits until another one runs in its place."""
    former = service(stack, words)
    assert former is not None
    former.kill()
    wait_for(lambda: service(stack, words) not in (None, former))


def crowned() -> list[tuple[int, int]]:
    """Every generation and its version, the first one first."""
    from refit_tasks.ledger.database import reading
    from refit_tasks.ledger.generations import generations_of

    with reading() as connection:
        return sorted((one.generation, one.version) for _, one in generations_of(connection, "parcels"))


def ids() -> list[int]:
    from refit_tasks.storage.delta import open_table, read

    table = open_table("parcels")
    assert table is not None
    return sorted(one for part in read(table, ["parcel"]) for one in part["parcel"].to_pylist())


def test_passwords_are_in_files_of_their_owner_and_on_no_command_line(stack: Standing) -> None:
    files = list((stack.place / "secrets").iterdir())
    assert len(files) > 10
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert all(
        directory.stat().st_mode & 0o007 == 0 for directory in (stack.home, stack.place, stack.place / "secrets")
    )
    words = {file.read_text() for file in files if len(file.read_text()) == 48}
    lines = [" ".join(one.cmdline()) for one in family(stack)]
    assert len(lines) > 8
    assert not [line for line in lines if any(word in line for word in words)]
    assert not any(word in Path(stack.facts["environment"]).read_text() for word in words)


def test_a_scheduled_monitor_finds_the_drift_and_a_worker_retrains(stack: Standing) -> None:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import verify_ledger

    assert Settings().store_uri.startswith("s3://")
    first = stack.answer("retrain", "parcels", "--remote", "--as-of", FIRST)["run_id"]
    wait_for(lambda: stack.state(first)[0] in ENDED)
    assert stack.state(first)[0] == "COMPLETED", stack.state(first)
    workers = stack.ask("POST", "/work_pools/refit/workers/filter", {"workers": {"status": {"any_": ["ONLINE"]}}})
    assert len(workers) == 2

    stack.depot.deliver(until_now(60, turned=45))
    stack.depot.set_policy(SCHEDULED)
    wait_for(lambda: current_champion("parcels").version > 1, seconds=480)
    stack.schedule(HOURLY, 3600)
    wait_for(lambda: not UNDER_WAY & {run["state_type"] for flow in FLOWS for run in stack.runs(flow)})
    assert crowned() == [(1, 1), (2, 2)]
    assert len(ids()) == len(set(ids()))
    verify_ledger()


@pytest.mark.parametrize("statement", ["DELETE FROM ledger", "UPDATE champions SET version = 1", "DROP TABLE ledger"])
def test_what_runs_flows_may_change_nothing_that_is_on_record(stack: Standing, statement: str) -> None:
    engine = sqlalchemy.create_engine(stack.settings["REFIT_DATABASE_URL"], poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.ProgrammingError, match="InsufficientPrivilege"):
        connection.exec_driver_sql(statement)


def test_it_answers_and_takes_labels_over_http(stack: Standing) -> None:
    from refit_tasks.ingestion.label_inbox import inbox_of
    from tests.support.serving_home import logged

    row = {"parcel": 1_000_001, "weight": 2.0, "distance": 10.0}
    with serving(stack.depot.projects, "parcels", **stack.settings) as server:
        answer = server.ask("parcels", {"rows": [row]})
        assert (answer.status_code, answer.json()["version"]) == (200, 2), answer.text
        told = {"labels": [{"key": ids()[0], "label": 1}]}
        taken = httpx.post(f"{server.address}/v1/models/parcels/labels", json=told, timeout=60)
        assert taken.status_code == 202, taken.text
        assert server.stop(signal.SIGTERM) == 0
    assert 1_000_001 in logged("parcels")["key__parcel"].to_list()
    joined = stack.answer("labels", "parcels")
    assert (joined["rows"], joined["unknown"], inbox_of("parcels")) == (1, 0, "parcels__labels")


def test_every_command_that_keeps_or_erases_works_on_the_object_store(stack: Standing) -> None:
    from tests.support.serving_home import logged

    assert stack.answer("score", "parcels")["rows"]["scored"] > 0
    stack.answer("score", "parcels")
    assert not logged("parcels").duplicated(["key__parcel", "version"]).any()
    assert stack.answer("reproduce", "parcels", "2")["reproduced"] is True
    assert stack.answer("prune")["findings"] == []
    gone = ids()[5]
    erased = stack.answer("forget", "parcels", "--key", str(gone), "--why", "a test")
    assert erased["tables"]["parcels"] == 1
    assert gone not in ids()
    assert stack.answer("rollback", "parcels")["champion"]["version"] == 1
    assert stack.answer("doctor")["findings"] == []
    assert stack.answer("ledger", "verify")["intact"] is True


def test_the_doctor_removes_what_no_version_names(stack: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_tasks.maintenance import doctor_tables
    from refit_tasks.storage.table_files import TableFiles

    files = TableFiles("parcels")
    files.write("part-00000-loose.parquet", b"torn")
    before = {one.path for one in files.list_files()}
    assert stack.answer("doctor")["findings"] == []  # it is young, and may be of somebody who is writing
    monkeypatch.setattr(doctor_tables, "REMOTE_GRACE_HOURS", 0)
    found = list(doctor_tables.repair_tables("parcels", dry_run=False))
    assert [one.name for one in found] == ["parcels/part-00000-loose.parquet"]
    assert before - {one.path for one in files.list_files()} == {"part-00000-loose.parquet"}


def test_two_machines_that_retrain_at_once_leave_one_history(stack: Standing, tmp_path: Path) -> None:
    from refit_tasks.ledger.record import entries, verify_ledger

    before, verdicts = crowned(), len(entries("parcels", "verdict"))

    def on(machine: str) -> int:
        return stack.refit("retrain", "parcels", "--force", "--json", REFIT_HOME=str(tmp_path / machine)).returncode

    with ThreadPoolExecutor() as pool:
        codes = list(pool.map(on, ("one", "other")))
    assert 0 in codes
    verify_ledger()
    after = crowned()
    assert after[: len(before)] == before
    assert [generation for generation, _ in after] == list(range(1, len(after) + 1))
    keys = [one.payload["model"]["run_key"] for one in entries("parcels", "verdict", newest=100)]
    assert len(keys) == len(set(keys)) > verdicts
    assert len(ids()) == len(set(ids()))


def test_postgresql_killed_in_mid_run_loses_nothing(stack: Standing) -> None:
    from refit_tasks.ledger.record import entries, verify_ledger

    before = [(one.id, one.hash) for one in entries("parcels", newest=1_000)]
    with stack.depot.stalled_training():
        run = stack.answer("retrain", "parcels", "--remote", "--force")["run_id"]
        wait_for(stack.depot.stalled.exists)
        killed(stack, "postgres -D")
        wait_for(lambda: stack.refit("status", "--json").returncode == 0)
    wait_for(lambda: stack.state(run)[0] in ENDED)
    assert stack.state(run)[0] == "COMPLETED", stack.state(run)
    verify_ledger()
    after = [(one.id, one.hash) for one in entries("parcels", newest=1_000)]
    assert set(before) < set(after)


def test_an_object_store_killed_in_mid_run_loses_nothing(stack: Standing) -> None:
    before = ids()
    with stack.depot.stalled_training():
        run = stack.answer("retrain", "parcels", "--remote", "--force")["run_id"]
        wait_for(stack.depot.stalled.exists)
        killed(stack, "-s3.config")
        wait_for(lambda: is_well(f"{stack.facts['objects']}/healthz"))
    wait_for(lambda: stack.state(run)[0] in ENDED)
    assert stack.state(run)[0] == "COMPLETED", stack.state(run)
    assert set(before) <= set(ids())
    assert stack.answer("reproduce", "parcels", "1")["project"] == "parcels"


def is_well(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False


def test_after_ctrl_c_nothing_runs_and_a_second_start_goes_on(stack: Standing) -> None:
    before, running = stack.answer("status"), family(stack)
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(120) == 0
    assert not [one for one in running if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    stack.start_again()
    assert stack.answer("status") == before
    assert json.loads(stack.refit("doctor", "--json").stdout)["findings"] == []
    assert os.environ["REFIT_DATABASE_URL"] == stack.settings["REFIT_DATABASE_URL"]
