"""A backup is whole or none, made while others write; a restore puts it back whole, or says that it has not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from refit.errors import LedgerBroken, StateError
from refit.results.maintenance import FileStamp, Manifest
from refit_tasks.backup.archive import MANIFEST, stamp_file
from refit_tasks.backup.backup import LEDGER, back_up, restore
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, known_projects, record, verify_ledger
from refit_tasks.ledger.restore_marker import unfinished_restore
from refit_tasks.maintenance.lock import backup_lock, removal_lock
from refit_tasks.maintenance.prune import prune
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.runs.audit_log import audited, list_audit_entries
from refit_tasks.storage.delta import open_table, read, uri_of, write
from tests.support.homes import elsewhere
from tests.support.postgres import ABSENT, binaries
from tests.support.races import place

AT = datetime(2026, 3, 1, tzinfo=UTC)
POSTGRES = pytest.param("postgres", marks=[pytest.mark.skipif(binaries() is None, reason=ABSENT), pytest.mark.slow])
KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from refit_tasks.backup import backup
from tests.support.killed_work import after, attempt, before

what, when, step = sys.argv[1:4]
works = {
    "backup": lambda: backup.back_up(Path(sys.argv[4]), datetime(2026, 3, 1, tzinfo=UTC)),
    "restore": lambda: backup.restore(Path(sys.argv[4])),
}
print(attempt(works[what], {"before": before, "after": after}[when](backup, step)))
"""


def append(number: int) -> int:
    """Adds a row to the table; gives its version that holds it."""
    rows = pa.table({"id": pa.array([number], pa.int64())})
    return write("rentals", open_table("rentals"), [rows], rows.schema)


def ids(version: int | None = None) -> list[int]:
    from deltalake import DeltaTable

    table = DeltaTable(uri_of("rentals"), version=version)
    return sorted(one for part in read(table) for one in part["id"].to_pylist())


def note(version: int) -> None:
    record("rentals", "contract", {"table": version}, AT)


@pytest.fixture
def used(home: Path) -> Path:
    """A home with three versions of a table, each named in the ledger."""
    for number in range(3):
        note(append(number))
    return home


@pytest.fixture
def backup(used: Path, tmp_path: Path) -> Path:
    back_up(tmp_path / "backup", AT)
    return tmp_path / "backup"


def killed(what: str, when: str, step: str, directory: Path) -> None:
    """Does it in a process that is killed at a step."""
    command = [sys.executable, "-c", KILLED, what, when, step, str(directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ), timeout=120)
    assert int(run.stdout) == signal.SIGKILL


def change(backup: Path, **changed: object) -> None:
    """Writes other words into a backup's manifest."""
    file = backup / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def test_only_its_owner_can_read_it(backup: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in backup.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (backup, *backup.rglob("*")) if path.is_dir()} == {0o700}


def test_a_directory_that_holds_something_is_left_alone(used: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    with pytest.raises(StateError, match="is not empty: name a new directory"):
        back_up(tmp_path / "full", AT)
    assert [one.name for one in (tmp_path / "full").iterdir()] == ["letter"]
    (tmp_path / "empty").mkdir()
    back_up(tmp_path / "empty", AT)
    assert stamp_file(tmp_path / "empty" / LEDGER).size > 0


@pytest.mark.slow
def test_a_killed_backup_is_none_and_the_next_one_cleans_up(used: Path, tmp_path: Path) -> None:
    for step in ("copy_tables", "write_manifest"):
        killed("backup", "before", step, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()
        with pytest.raises(StateError, match=r"is not a complete backup, since it has no manifest\.json"):
            restore(tmp_path / ".backup.unfinished")
    back_up(tmp_path / "backup", AT)
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == ["backup"]


@pytest.mark.parametrize(
    ("when", "step"),
    [
        ("before", "restore_ledger"),
        pytest.param("before", "restore_home", marks=pytest.mark.slow),
        pytest.param("before", "restore_table", marks=pytest.mark.slow),
        pytest.param("after", "restore_ledger", marks=pytest.mark.slow),
    ],
)
def test_a_killed_restore_is_taken_for_nothing_until_it_is_done_again(
    backup: Path, tmp_path: Path, when: str, step: str
) -> None:
    with elsewhere(tmp_path / "new"):
        killed("restore", when, step, backup)
        for look in (known_projects, open_mlflow):
            with pytest.raises(StateError, match=rf"is only partly restored: run `refit restore {backup}` again"):
                look()
        restore(backup)
        assert (verify_ledger(), ids(), ids(1), unfinished_restore()) == (3, [0, 1, 2], [0, 1], None)


def test_a_ledger_that_does_not_hold_is_not_restored(backup: Path, tmp_path: Path) -> None:
    text = (backup / LEDGER).read_text()
    (backup / LEDGER).write_text(text.replace('"table":1', '"table":0'))
    manifest = Manifest.model_validate_json((backup / MANIFEST).read_bytes())
    files = {**manifest.files, LEDGER: stamp_file(backup / LEDGER)}
    change(backup, files={name: stamp.model_dump() for name, stamp in files.items()})
    with elsewhere(tmp_path / "new"):
        with pytest.raises(LedgerBroken, match="entry 2 "):
            restore(backup)
        assert unfinished_restore() is None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / MANIFEST).unlink(), "is not a complete backup"),
        (lambda root: (root / MANIFEST).write_text("{"), "is damaged: restore another backup"),
        (lambda root: change(root, format=2, refit="9.1"), r"was made by Refit 9\.1 in another format"),
        (lambda root: change(root, files={"../x": {"size": 0, "sha256": ""}}), "is damaged: restore another backup"),
        (lambda root: (root / LEDGER).unlink(), r"is incomplete, ledger\.jsonl is missing"),
        (lambda root: (root / LEDGER).write_text((root / LEDGER).read_text().replace("1", "2", 1)), "is damaged, "),
        (lambda root: change(root, artifacts=None), "was made beside an MLflow server"),
    ],
    ids=["no manifest", "torn manifest", "another form", "a way out", "a file gone", "a byte changed", "no models"],
)
def test_what_is_damaged_or_incomplete_changes_nothing(backup: Path, tmp_path: Path, damage, words: str) -> None:
    damage(backup)
    with elsewhere(tmp_path / "new") as new:
        with pytest.raises(StateError, match=words):
            restore(backup)
        assert not new.exists()


@pytest.mark.parametrize("what", ["ledger", "table", "mlflow"])
def test_a_place_with_state_is_left_alone(backup: Path, tmp_path: Path, what: str) -> None:
    with elsewhere(tmp_path / "new") as new:
        if what == "ledger":
            record("others", "contract", {}, AT)
        elif what == "table":
            append(7)
        else:
            new.mkdir()
            (new / "mlflow.db").touch()
        for dry_run in (True, False):
            with pytest.raises(StateError, match="state exists already"):
                restore(backup, dry_run=dry_run)
        assert unfinished_restore() is None


def test_a_dry_run_looks_only(backup: Path, tmp_path: Path) -> None:
    with elsewhere(tmp_path / "new"):
        assert restore(backup, dry_run=True).ledger.entries == 3
        assert entries() == []
        assert restore(backup).tables == {"rentals": 2}


def test_what_the_ledger_of_a_backup_names_is_in_it_though_others_write(used: Path, tmp_path: Path) -> None:
    stop, begun = threading.Event(), threading.Event()

    def writing() -> None:
        number = 3
        while not stop.is_set():
            note(append(number))
            number += 1
            begun.set()

    writer = threading.Thread(target=writing)
    writer.start()
    begun.wait()
    try:
        for number in range(5):
            back_up(tmp_path / f"backup-{number}", AT)
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        with elsewhere(tmp_path / f"home-{number}"):
            restored = restore(tmp_path / f"backup-{number}")
            named = [entry.payload["table"] for entry in entries(newest=10_000)]
            assert verify_ledger() == len(named) == restored.ledger.entries
            assert ids(max(named)) == [*range(max(named) + 1)]
            assert restored.tables["rentals"] >= max(named)


def test_who_did_what_is_known_from_before_and_after(used: Path, tmp_path: Path) -> None:
    with audited("labels", "rentals"):
        pass
    back_up(tmp_path / "backup", AT)
    with elsewhere(tmp_path / "new"):
        with audited("restore --dry-run", None):
            restore(tmp_path / "backup", dry_run=True)
        with audited("restore", None):
            restore(tmp_path / "backup")
        assert [deed.action for deed in list_audit_entries()] == ["labels", "restore --dry-run", "restore"]


def test_nothing_is_removed_meanwhile(used: Path, tmp_path: Path) -> None:
    with backup_lock(), pytest.raises(StateError, match="a backup is under way"):
        prune()
    with removal_lock(), removal_lock(), pytest.raises(StateError, match="has been under way for 0 s"), backup_lock(0):
        pass
    assert prune() == []


@pytest.mark.parametrize("former", ["sqlite", POSTGRES])
@pytest.mark.parametrize("latter", ["sqlite", POSTGRES])
def test_a_ledger_goes_from_any_database_to_any_other(judge, tmp_path: Path, home: Path, former, latter) -> None:
    with place(former, home):
        first = promote.fn(judge("a"), None, AT)
        promote.fn(judge("b", first), first, AT)
        written = list(reversed(entries()))
        back_up(tmp_path / "backup", AT)
    with elsewhere(tmp_path / "new") as new, place(latter, new):
        restore(tmp_path / "backup")
        assert (verify_ledger(), list(reversed(entries()))) == (4, written)
        assert current_champion("rentals").generation == 2
        with pytest.raises(StateError, match="state exists already"):
            restore(tmp_path / "backup")


def test_no_file_of_a_backup_lies_outside_of_it() -> None:
    stamp = FileStamp(size=0, sha256="")
    for name in ("../x", "/etc/passwd", "a/../../x", "a//b"):
        with pytest.raises(ValueError, match="is not a path within the backup"):
            Manifest(
                made_at=AT, refit="", ledger={"entries": 0, "head": ""}, tables={}, artifacts="", files={name: stamp}
            )
