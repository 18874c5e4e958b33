"""Writers that race on the object store: each row once, whoever comes first."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import pytest

from tests.support.forked_commands import starter
from tests.support.running_stack import Standing

WRITERS, COMMITS = 4, 10
NAME = "raced"
SCHEMA = pa.schema([("writer", pa.int64()), ("commit", pa.int64())])


def write_all(places: dict[str, str], start: Any, writer: int) -> None:
    """What one process does: it creates the table if it is first, and adds to what the others have written."""
    os.environ.update(places)
    from refit_tasks.storage.delta import open_table, retry_on_conflict, write

    start.wait(120)
    for commit in range(COMMITS):
        row = pa.table({"writer": [writer], "commit": [commit]}, SCHEMA)
        retry_on_conflict(lambda row=row: write(NAME, open_table(NAME), [row], SCHEMA), NAME)


def test_racing_writers_lose_no_row(stack: Standing) -> None:
    from refit_tasks.storage.delta import open_table, read

    context = starter()
    start = context.Barrier(WRITERS)
    racers = [context.Process(target=write_all, args=(stack.settings, start, number)) for number in range(WRITERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(240)
    assert [racer.exitcode for racer in racers] == [0] * WRITERS
    table = open_table(NAME)
    assert table is not None
    rows = [(row["writer"], row["commit"]) for part in read(table) for row in part.to_pylist()]
    assert sorted(rows) == [(writer, commit) for writer in range(WRITERS) for commit in range(COMMITS)]
    assert table.version() == len(rows) - 1


def test_a_write_by_an_old_handle_is_refused(stack: Standing) -> None:
    from deltalake.exceptions import CommitFailedError

    from refit_tasks.storage.delta import open_table, write

    row, name = pa.table({"writer": [0], "commit": [0]}, SCHEMA), "held"
    write(name, None, [row], SCHEMA)
    first, second = open_table(name), open_table(name)
    write(name, first, [row], SCHEMA)
    with pytest.raises(CommitFailedError):
        write(name, second, [row], SCHEMA)
