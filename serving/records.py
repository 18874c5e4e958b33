"""What a version was asked and what it said, on the way to the predictions table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

import pyarrow as pa

from refit.answering import Said
from refit.prediction_rows import Asked, Role, prediction_rows, said_by
from refit.received import Received, joined
from serving.served import Served

T = TypeVar("T")

_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Record:
    """One request and its answer."""

    served: Served
    rows: Received
    said: Said
    request_id: str
    at: datetime
    """When it was answered, UTC."""
    size: int
    """The bytes of its body."""
    role: Role = "champion"


def grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Puts together what belongs into one batch.

    Args:
        records: What is to be written.

    Returns:
        Groups of what one version has answered in one role, under one champion, on one day.
    """
    groups = defaultdict[tuple[str, int, int, Role, date], list[Record]](list)
    for record in records:
        served = record.served
        groups[served.project, served.generation, served.version, record.role, record.at.date()].append(record)
    return list(groups.values())


def table_of(records: list[Record]) -> pa.Table:
    """Makes rows of the predictions table. What came as JSON is joined first, since that is cheap.

    Args:
        records: From `grouped`.

    Returns:
        One row for each answer.
    """
    sent = [(record, record.rows.cells) for record in records if record.rows.cells is not None]
    parts = [_part([record], record.rows) for record in records if record.rows.cells is None]
    if sent:
        rows = joined(records[0].served.wanted, [cells for _, cells in sent])
        parts.append(_part([record for record, _ in sent], rows))
    return pa.concat_tables(parts, promote_options="permissive")


def _part(records: list[Record], rows: Received) -> pa.Table:
    served, counts = records[0].served, [len(record.rows) for record in records]
    said = said_by(served.model.given(rows.features, [record.said for record in records]))
    keys = {name: rows.others[name] for name in served.key if name in rows.others}
    made = prediction_rows(
        Asked(served.version, served.generation, records[0].role, "http", records[0].at),
        said,
        rows.features,
        pa.table(keys) if keys else None,
        rows.others.get(served.timestamp),
        request_id=_each([record.request_id for record in records], counts),
    )
    moments = pa.array(_each([record.at for record in records], counts), _MOMENT)
    return made.set_column(made.column_names.index("scored_at"), "scored_at", moments)


def _each(values: list[T], counts: list[int]) -> list[T]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
