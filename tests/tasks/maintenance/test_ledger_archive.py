"""Retention of the ledger: old entries go into a file, and what is left is still one chain, and still append-only."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refit.errors import LedgerBroken
from refit.records.ledger import Entry, canonical_json, chain_hash, find_broken_entry
from refit_tasks.backup.archive import MANIFEST, read_manifest, stamp_file
from refit_tasks.backup.backup import back_up, restore
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, entry, latest, record, verify_ledger
from refit_tasks.maintenance.prune import archive_ledger
from refit_tasks.promotion.promote import promote
from tests.support.homes import elsewhere
from tests.support.postgres import ABSENT, binaries
from tests.support.races import place

AT = datetime(2026, 3, 1, tzinfo=UTC)
LATER = AT + timedelta(days=400)
needs_postgres = pytest.mark.skipif(binaries() is None, reason=ABSENT)


def archived(*, days: float = 100, newest: int = 1, dry_run: bool = False) -> list[str]:
    return [finding.name for finding in archive_ledger(days, newest, LATER, dry_run=dry_run)]


def live(judge, start: int, count: int) -> None:
    """Champions, a day each: two entries for each, a verdict and a promotion."""
    for number in range(start, start + count):
        over = current_champion("rentals")
        promote.fn(judge(f"{number}", over=over), over, AT + timedelta(days=number))


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=[needs_postgres, pytest.mark.slow])])
def test_what_nothing_needs_goes_into_a_file_and_the_chain_holds(database: str, judge, home: Path) -> None:
    with place(database, home):
        live(judge, 0, 5)
        assert archived(dry_run=True) == ["entries 1 to 8"]
        assert verify_ledger() == 10
        assert archived() == ["entries 1 to 8"]
        assert archived() == []
        assert (entry(8), entry(9).kind, latest("rentals", "archive").id) == (None, "verdict", 11)
        assert verify_ledger() == 3
        live(judge, 5, 2)
        assert current_champion("rentals").generation == 7
        assert archived(newest=2) == ["entries 9 to 10"]
        assert verify_ledger() == 6

        files = sorted((home / "archive").iterdir())
        assert [file.name for file in files] == ["ledger-000000001-000000008.jsonl", "ledger-000000009-000000010.jsonl"]
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        whole = [Entry(**{**line, "at": datetime.fromisoformat(line["at"])}) for line in lines]
        assert find_broken_entry([*whole, *reversed(entries())]) is None
        assert latest("rentals", "archive").payload["sha256"] == hashlib.sha256(files[1].read_bytes()).hexdigest()


def test_the_tables_stay_append_only(judge, home: Path) -> None:
    live(judge, 0, 3)
    archived()
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        for statement in ("DELETE FROM ledger", "UPDATE champions SET version = 9", "DELETE FROM champions"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_entries_taken_away_without_a_record_are_found(judge, home: Path) -> None:
    live(judge, 0, 3)
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER ledger_refuses_DELETE")
        connection.execute("DROP TRIGGER champions_refuses_DELETE")
        connection.execute("DELETE FROM champions WHERE ledger_id <= 2")
        connection.execute("DELETE FROM ledger WHERE id <= 2")
        connection.commit()
    with pytest.raises(LedgerBroken, match="entry 3 does not match the hash chain"):
        verify_ledger()


def test_young_entries_and_the_newest_of_each_kind_stay(judge) -> None:
    record("rentals", "contract", {"rules": []}, AT)
    live(judge, 0, 3)
    assert archived() == []
    record("rentals", "contract", {"rules": []}, AT + timedelta(days=4))
    assert archived(days=399) == ["entries 1 to 4"]


@pytest.fixture
def two_archives(judge, home: Path) -> list[Path]:
    """A ledger of which two files hold the older entries."""
    live(judge, 0, 5)
    archived()
    live(judge, 5, 2)
    archived(newest=2)
    return sorted((home / "archive").iterdir())


def exchange(file: Path) -> None:
    """Puts another file in the place of one, whose own chain is intact."""
    text = file.read_text().replace('"rentals"', '"renters"')
    entries, previous = [json.loads(line) for line in text.splitlines()], None
    for said in entries:
        said["previous"] = previous or said["previous"]
        at = datetime.fromisoformat(said["at"])
        said["hash"] = chain_hash(said["previous"], said["project"], said["kind"], at, said["payload"], said["once"])
        previous = said["hash"]
    file.write_text("".join(canonical_json(said) + "\n" for said in entries))


def cut(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def swap(file: Path) -> None:
    other = next(one for one in file.parent.iterdir() if one != file)
    file.write_bytes(other.read_bytes())


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (Path.unlink, "is missing"),
        (exchange, "is not the one that the ledger has recorded"),
        (cut, "is not the one that the ledger has recorded"),
        (swap, "is not the one that the ledger has recorded"),
        (lambda file: file.write_bytes(b"\xff"), "is not the one that the ledger has recorded"),
    ],
)
def test_an_archive_file_that_is_not_what_it_was_is_named(
    two_archives: list[Path], attack: Callable[[Path], object], said: str, number: int
) -> None:
    assert verify_ledger() == 6
    attack(two_archives[number])
    with pytest.raises(LedgerBroken, match=f"{two_archives[number].name}.*{said}"):
        verify_ledger()


def test_a_backup_and_a_restore_open_each_archive(two_archives: list[Path], tmp_path: Path) -> None:
    good = tmp_path / "good"
    back_up(good, LATER)
    exchange(two_archives[0])
    with pytest.raises(LedgerBroken, match=two_archives[0].name):
        back_up(tmp_path / "bad", LATER)
    assert not (tmp_path / "bad").exists()

    copy = good / "archive" / two_archives[1].name
    exchange(copy)
    manifest = read_manifest(good)
    changed = {**manifest.files, f"archive/{copy.name}": stamp_file(copy)}
    (good / MANIFEST).write_text(manifest.model_copy(update={"files": changed}).model_dump_json())
    with elsewhere(tmp_path / "other"), pytest.raises(LedgerBroken, match=copy.name):
        restore(good)
    assert not (tmp_path / "other" / "ledger.db").exists()
