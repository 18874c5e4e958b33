"""What a version was asked and what it said, on the way to the predictions table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import pyarrow as pa

from refit.inference.prediction_rows import PredictionContext, Role, prediction_columns, prediction_rows
from refit.inference.predictor import Prediction
from refit.inference.request_rows import RequestRows, join_requests
from refit_serving.rows.loaded_model import LoadedModel

T = TypeVar("T")

_TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One request and its answer."""

    served: LoadedModel
    rows: RequestRows
    said: Prediction
    request_id: str
    at: datetime
    """When it was answered, UTC."""
    size: int
    """The bytes of its body."""
    role: Role = "champion"


def group_records(records: Iterable[PredictionRecord]) -> list[list[PredictionRecord]]:
    """Puts together what belongs into one batch: a commit costs more than the rows in it.

    Args:
        records: What is to be written.

    Returns:
        Groups of one project and one day, in whose columns no type changes from one version to another.
    """
    groups = defaultdict[tuple[object, ...], list[PredictionRecord]](list)
    for record in records:
        served = record.served
        kinds = (*served.wanted.features.items(), served.model.dtype_kind)
        groups[served.project, record.at.date(), kinds].append(record)
    return list(groups.values())


def build_table(records: list[PredictionRecord]) -> pa.Table:
    """Makes rows of the predictions table.

    Args:
        records: From `grouped`.

    Returns:
        One row for each answer.
    """
    said = defaultdict[tuple[int, int, Role], list[PredictionRecord]](list)
    for record in records:
        said[record.served.version, record.served.generation, record.role].append(record)
    parts = [part for one in said.values() for part in _build_parts(one)]
    return pa.concat_tables(parts, promote_options="permissive")


def _build_parts(records: list[PredictionRecord]) -> list[pa.Table]:
    """Makes rows of what one version has said. What came as JSON is joined first, since that is cheap."""
    sent = [(record, record.rows.cells) for record in records if record.rows.cells is not None]
    parts = [_build_part([record], record.rows) for record in records if record.rows.cells is None]
    if sent:
        rows = join_requests(records[0].served.wanted, [cells for _, cells in sent])
        parts.append(_build_part([record for record, _ in sent], rows))
    return parts


def _build_part(records: list[PredictionRecord], rows: RequestRows) -> pa.Table:
    served, counts = records[0].served, [len(record.rows) for record in records]
    said = prediction_columns(served.model.join_predictions(rows.features, [record.said for record in records]))
    keys = {name: rows.others[name] for name in served.key if name in rows.others}
    made = prediction_rows(
        PredictionContext(served.version, served.generation, records[0].role, "http", records[0].at),
        said,
        rows.features,
        pa.table(keys) if keys else None,
        rows.others.get(served.timestamp),
        request_id=_repeat([record.request_id for record in records], counts),
    )
    moments = pa.array(_repeat([record.at for record in records], counts), _TIMESTAMP)
    return made.set_column(made.column_names.index("scored_at"), "scored_at", moments)


def _repeat(values: list[T], counts: list[int]) -> list[T]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
