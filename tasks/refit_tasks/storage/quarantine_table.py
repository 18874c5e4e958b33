"""The quarantine table of a project, `NAME__quarantine`: its schema, and reading rejected rows with their reasons.

Does not belong here: writing to it (`refit_tasks.ingestion.quarantine`), which needs Great Expectations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from heapq import nlargest
from typing import TYPE_CHECKING

import pyarrow as pa

from refit.data.rejected_rows import RejectedRow
from refit.data.split import from_microseconds
from refit_tasks.storage.delta import QUARANTINE_SUFFIX, open_table, read

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from refit.project import Project

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("quarantined_at", INSTANT),
        ("event_time", INSTANT),
        ("reasons", pa.string()),
        ("row", pa.string()),
    ]
)

STORED = pa.schema([(one.name, pa.int64() if one.type == INSTANT else one.type) for one in SCHEMA])
"""The schema with times as integers: pyarrow would import pandas to convert them to Python times."""


def quarantine_of(definition: Project) -> str:
    """Names a project's quarantine table.

    Args:
        definition: The project.

    Returns:
        The table's name, `NAME__quarantine`.
    """
    return f"{definition.name}{QUARANTINE_SUFFIX}"


def read_quarantine(table: DeltaTable) -> Iterator[RejectedRow]:
    """Reads all rows of a quarantine.

    Args:
        table: The quarantine table.

    Yields:
        The rejected rows, in any order.
    """
    for part in read(table):
        for row in part.cast(STORED).to_pylist():
            times = {name: _time(row[name]) for name in ("quarantined_at", "event_time")}
            yield RejectedRow(**row | times | {"reasons": tuple(json.loads(row["reasons"]))})


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)


def count_quarantined(definition: Project) -> int:
    """Counts the rows in a project's quarantine.

    Args:
        definition: The project.

    Returns:
        The number of rows.
    """
    table = open_table(quarantine_of(definition))
    return table.count() if table else 0


def list_quarantined(definition: Project, limit: int) -> list[RejectedRow]:
    """Lists a project's quarantined rows.

    Args:
        definition: The project.
        limit: The maximum number of rows.

    Returns:
        The rows, the last quarantined first.
    """
    table = open_table(quarantine_of(definition))
    rows = read_quarantine(table) if table else iter(())
    return nlargest(limit, rows, key=lambda row: (row.quarantined_at, row.id))
