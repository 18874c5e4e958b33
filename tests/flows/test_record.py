"""The record of a real run: all of it can be made again, and nothing in it can be edited without being found."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from refit.errors import LedgerBroken
from refit.gate.decide import decide
from refit.gate.evaluations import Judgement
from refit.monitoring.decide import DecisionRecord, replay_decision
from refit.records.ledger import from_payload
from tests.support.watched_project import Depot

pytestmark = pytest.mark.usefixtures("prefect_server")

COLUMNS = {
    "ledger": ("id", "project", "kind", "at", "once", "payload", "previous", "hash"),
    "champions": ("project", "generation", "version", "ledger_id"),
}
EDITS = 40
"""How many of each column."""


@pytest.mark.slow
def test_each_verdict_and_decision_is_made_again_and_each_edit_is_found(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_tasks.ledger.record import verify_ledger

    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    live_through(depot)
    assert {"verdict", "promotion", "decision", "retrain", "alias", "rollback"} <= make_again().keys()

    count, found = verify_ledger(), 0
    for edit in edits(home / "ledger.db", random.Random(20261125)):  # noqa: S311 - edits, no secrets
        assert is_found(), edit
        found += 1
    assert found > EDITS * 6
    assert verify_ledger() == count


def live_through(depot: Depot) -> None:
    """Two champions, a quiet window, an alias that was moved, a rollback, and a retrain after it."""
    from refit_flows.rollback import rollback
    from refit_tasks.registry.mlflow_client import open_mlflow

    depot.retrain(40)
    depot.monitor(45)
    depot.retrain(60)
    open_mlflow().delete_registered_model_alias("parcels", "champion")
    depot.monitor(65)
    assert rollback("parcels", reason="test").version == 1
    assert shown("parcels-rollback") == "version 1 of parcels serves again, generation 3"
    assert depot.retrain(75).promotion.generation == 4


def shown(key: str) -> str:
    """What the newest artifact of a key says in short."""
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        # Other tests share the server, and its keys.
        (artifact,) = client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC, limit=1)
        return str(artifact.description)


def is_found() -> bool:
    """Whether the ledger's check names an entry."""
    from refit_tasks.ledger.record import verify_ledger

    try:
        verify_ledger()
    except LedgerBroken as broken:
        return "was tampered with: entry" in str(broken)
    return False


def make_again() -> dict[str, int]:
    """Judges and decides once more from the entries alone; counts the entries of each kind."""
    from refit_tasks.ledger.record import entries

    counts: dict[str, int] = {}
    for entry in entries(newest=1_000):
        counts[entry.kind] = counts.get(entry.kind, 0) + 1
        if entry.kind == "verdict":
            judgement = from_payload(Judgement, entry.payload)
            assert decide(judgement.comparison, judgement.policy) == judgement.verdict
        elif entry.kind == "decision":
            assert replay_decision(entry) == from_payload(DecisionRecord, entry.payload).decision
    assert counts["verdict"] == 3
    assert counts["decision"] == 5
    return counts


def edits(database: Path, rng: random.Random) -> Iterator[str]:
    """Replaces, inserts or removes one byte behind the triggers' back, again and again, and puts it back each time."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for table, columns in COLUMNS.items():
            for column in columns:
                cells = f"SELECT rowid, CAST({column} AS BLOB) FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
                rows = connection.execute(cells).fetchall()
                for row, written in rng.choices(rows, k=EDITS):
                    edited = one_byte_off(written, rng)
                    try:
                        there = assign(connection, table, column, row, edited)
                    except sqlite3.IntegrityError:
                        continue  # the database itself refuses two rows with one key
                    if connection.execute(cells).fetchall() != rows:
                        yield f"{table}.{column} of row {row}: {written!r} became {edited!r}"
                        assign(connection, table, column, there, written)


def assign(connection: sqlite3.Connection, table: str, column: str, row: int, value: bytes) -> int:
    """Writes a cell as text, which SQLite turns into a number where it is one; gives the row's number from then on."""
    change = f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ? RETURNING rowid"  # noqa: S608
    ((there,),) = connection.execute(change, (value, row)).fetchall()
    return int(there)


def one_byte_off(written: bytes, rng: random.Random) -> bytes:
    """Another text, by one byte."""
    place, byte = rng.randrange(len(written)), bytes([rng.choice([32, 34, 48, 57, rng.randrange(1, 256)])])
    kept = rng.choice([0, 1])
    without = written[:place] + written[place + 1 :]
    return rng.choice([written[:place] + byte + written[place + kept :], without]) or byte
