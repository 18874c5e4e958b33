"""A backup of the stack while it is in use, and the way back to another place on the same object store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.running_stack import Standing

NAME = "kept"
ROWS = pa.table({"id": pa.array(range(1_000), pa.int64())})


def test_from_the_object_store_and_back(stack: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_tasks.ledger.record import record, verify_ledger
    from refit_tasks.storage.delta import open_table, read, write

    write(NAME, None, [ROWS], ROWS.schema)
    record(NAME, "contract", {"table": 0}, datetime(2026, 3, 1, tzinfo=UTC))
    backup = tmp_path / "backup"
    made = stack.answer("backup", str(backup))
    assert (made["mlflow"], made["tables"][NAME]) == ("elsewhere", 0)
    refused = stack.refit("restore", str(backup))
    assert "state exists already (s3://" in refused.stderr

    other = {"REFIT_STORE_URI": f"{stack.settings['REFIT_STORE_URI']}/restored", "REFIT_HOME": str(tmp_path / "home")}
    other["REFIT_DATABASE_URL"] = f"sqlite:///{tmp_path}/ledger.db"
    assert stack.answer("restore", str(backup), **other)["entries"] == made["entries"]
    for name, value in other.items():
        monkeypatch.setenv(name, value)
    table = open_table(NAME)
    assert table is not None
    assert sorted(one for part in read(table) for one in part["id"].to_pylist()) == [*range(1_000)]
    assert verify_ledger() == made["entries"]
