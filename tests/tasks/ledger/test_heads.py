"""Heads of the ledger that are kept elsewhere: whoever cuts its end or writes it anew is found out by them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from refit.errors import LedgerBroken, StateError
from refit.records.ledger import GENESIS, canonical_json, chain_hash
from refit_deployments.actions.ledger import export, verify
from refit_tasks.ledger.heads import HEAD, find_head
from refit_tasks.ledger.record import record, verify_ledger
from refit_tasks.registry.mlflow_client import open_mlflow

AT = datetime(2026, 3, 1, tzinfo=UTC)


def attack(home: Path, *statements: str) -> None:
    """Changes the database as an account that owns it can."""
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)


def cut_end(home: Path) -> None:
    attack(home, "DELETE FROM ledger WHERE id = 3")


def cut_end_and_append(home: Path) -> None:
    cut_end(home)
    record("bikes", "notice", {"number": "another"}, AT)


def rewrite(home: Path) -> None:
    """Writes another history with a chain that is intact, of the same length."""
    previous, statements = GENESIS, []
    for number in range(1, 4):
        payload = {"number": number, "forged": True}
        digest = chain_hash(previous, "bikes", "notice", AT, payload)
        values = f"payload = '{canonical_json(payload)}', previous = '{previous}', hash = '{digest}'"
        statements.append(f"UPDATE ledger SET {values} WHERE id = {number}")  # noqa: S608 - the attacker's own
        previous = digest
    attack(home, *statements)


@pytest.fixture
def noted(home: Path) -> Path:
    for number in range(1, 4):
        record("bikes", "notice", {"number": number}, AT)
    return home


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (cut_end, "ends with entry 2, but .* knows entry 3: its newest entries were removed"),
        (cut_end_and_append, "entry 3 of the ledger is not the one that .* knows"),
        (rewrite, "entry 1 of the ledger is not the one that .* knows"),
    ],
)
def test_what_the_chain_itself_cannot_show_is_found_by_an_export(
    noted: Path, tmp_path: Path, tamper: Callable[[Path], None], said: str
) -> None:
    file = tmp_path / "export.jsonl"
    export(None, file)
    record("bikes", "notice", {"number": 4}, AT)
    assert verify(str(file)).facts["compared"] == 3
    attack(noted, "DELETE FROM ledger WHERE id = 4")
    tamper(noted)
    assert verify_ledger() in (2, 3)
    with pytest.raises(LedgerBroken, match=said):
        verify(str(file))


def test_the_result_of_a_verification_is_a_head_to_keep(noted: Path, tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    file.write_text(json.dumps(verify().facts))
    assert verify(str(file)).facts["head"] == {"id": 3, "hash": find_head().hash}
    rewrite(noted)
    with pytest.raises(LedgerBroken, match="entry 3 of the ledger is not the one"):
        verify(str(file))


def test_the_tag_of_a_version_knows_the_end(mlflow_home: Path, judge, home: Path) -> None:
    with pytest.raises(StateError, match=f"no version in MLflow has the tag {HEAD}"):
        verify("mlflow")
    judge("a")
    assert open_mlflow().get_model_version("rentals", "1").tags[HEAD] == str(find_head())
    assert verify("mlflow").facts["compared"] == 1
    attack(home, "DELETE FROM ledger")
    assert verify_ledger() == 0
    with pytest.raises(LedgerBroken, match=r"the tag refit\.ledger_head of version 1 of rentals in .* knows entry 1"):
        verify("mlflow")


@pytest.mark.parametrize("text", ["", "{}", "nothing", "[1]", '{"id": "1", "hash": 2}'])
def test_a_file_without_a_head_vouches_for_nothing(noted: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "head").write_text(text)
    with pytest.raises(StateError, match="name a file that `refit ledger export`"):
        verify(str(tmp_path / "head"))
