"""Records of requests and their predictions, grouped and built into rows of the predictions table."""

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
    """One request and its prediction."""

    model: LoadedModel
    rows: RequestRows
    prediction: Prediction
    request_id: str
    at: datetime
    """Time of the prediction, UTC."""
    held: int
    """The most bytes of memory that the rows take."""
    role: Role = "champion"

    @property
    def size(self) -> int:
        """The bytes of memory that the record holds: rows and predictions."""
        probabilities = self.prediction.probabilities
        return self.held + self.prediction.predictions.nbytes + (0 if probabilities is None else probabilities.nbytes)


def group_records(records: Iterable[PredictionRecord]) -> list[list[PredictionRecord]]:
    """Groups the records that can share a commit, which costs more than the rows in it.

    Args:
        records: The records.

    Returns:
        Groups of one project and one day, whose columns have the same types in all versions.
    """
    groups = defaultdict[tuple[object, ...], list[PredictionRecord]](list)
    for record in records:
        model = record.model
        kinds = (*model.spec.features.items(), model.predictor.dtype_kind)
        groups[model.project, record.at.date(), kinds].append(record)
    return list(groups.values())


def build_table(records: list[PredictionRecord]) -> pa.Table:
    """Builds rows of the predictions table.

    Args:
        records: A group from `group_records`.

    Returns:
        One row for each predicted row.
    """
    by_model = defaultdict[tuple[int, int, Role], list[PredictionRecord]](list)
    for record in records:
        by_model[record.model.version, record.model.generation, record.role].append(record)
    parts = [part for group in by_model.values() for part in _build_parts(group)]
    return pa.concat_tables(parts, promote_options="permissive")


def _build_parts(records: list[PredictionRecord]) -> list[pa.Table]:
    """Builds the rows of one version. Rows that came as JSON are joined first, since that is cheap."""
    as_cells = [(record, record.rows.cells) for record in records if record.rows.cells is not None]
    parts = [_build_part([record], record.rows) for record in records if record.rows.cells is None]
    if as_cells:
        rows = join_requests(records[0].model.spec, [cells for _, cells in as_cells])
        parts.append(_build_part([record for record, _ in as_cells], rows))
    return parts


def _build_part(records: list[PredictionRecord], rows: RequestRows) -> pa.Table:
    model, counts = records[0].model, [len(record.rows) for record in records]
    predictions = prediction_columns(
        model.predictor.join_predictions(rows.features, [record.prediction for record in records])
    )
    keys = {name: rows.others[name] for name in model.key if name in rows.others}
    table = prediction_rows(
        PredictionContext(model.version, model.generation, records[0].role, "http", records[0].at),
        predictions,
        rows.features,
        pa.table(keys) if keys else None,
        rows.others.get(model.timestamp),
        request_id=_repeat([record.request_id for record in records], counts),
    )
    times = pa.array(_repeat([record.at for record in records], counts), _TIMESTAMP)
    return table.set_column(table.column_names.index("scored_at"), "scored_at", times)


def _repeat(values: list[T], counts: list[int]) -> list[T]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
