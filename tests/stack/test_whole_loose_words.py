"""After all that the stack has done, its passwords are in their own files and nowhere else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_deployments.production.passwords import LOGINS, PASSWORDS
from tests.support.running_stack import Standing

OWNERS = {"refit": "refit_owner", "prefect": "prefect", "mlflow": "mlflow"}


@pytest.fixture
def words(stack: Standing) -> dict[str, bytes]:
    """What nobody may read; the access key is the name of a login, and goes over the wire as it is."""
    return {name: (stack.place / "secrets" / name).read_bytes() for name in PASSWORDS if name != "s3_access_key"}


def dumped(stack: Standing, database: str) -> bytes:
    """All rows of a database, as its owner reads them."""
    owner = OWNERS[database]
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(stack.ports["database-port"]), "PGUSER": owner}
    word = (stack.place / "secrets" / f"{owner}_role").read_text()
    command = ["pg_dump", "--data-only", "--inserts", database]
    return subprocess.run(
        command, env={**os.environ, **place, "PGPASSWORD": word}, capture_output=True, check=True
    ).stdout


def files(stack: Standing) -> Iterator[Path]:
    """Everything beside the secrets: logs, homes, what PostgreSQL and the object store keep."""
    for file in stack.home.parent.rglob("*"):
        if file.is_file() and stack.place / "secrets" not in file.parents:
            yield file


def content(file: Path) -> bytes:
    """What is in a file; nothing, where the database has let it go meanwhile."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_row_of_a_database_holds_one(stack: Standing, words: dict[str, bytes]) -> None:
    for database in sorted(set(LOGINS.values())):
        rows = dumped(stack, database)
        assert b"INSERT INTO" in rows
        assert [name for name, word in words.items() if word in rows] == [], database


def test_no_file_but_its_own_holds_one(stack: Standing, words: dict[str, bytes]) -> None:
    searched = list(files(stack))
    assert {"prefect-server.log", "mlflow.log", "up.err", "up.json"} <= {file.name for file in searched}
    found = [(file.name, name) for file in searched for name, word in words.items() if word in content(file)]
    assert found == []
