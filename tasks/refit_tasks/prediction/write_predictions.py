"""Writes the predictions of a batch to the predictions table in one commit, each row once for each version.

Every commit carries the application transaction `refit-score` and so conflicts with any other that began from the same
state: what a batch has read of the table still holds when it writes. Servers append beside it without conflicts. The
number of the transaction is the event time up to which the project's own rows are scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import Identities, not_in
from refit.data.split import to_microseconds
from refit.inference.prediction_rows import PredictionContext, cast_for_storage
from refit.results.score import VersionCounts
from refit.windows import Window
from refit_tasks.storage.delta import open_table, read, retry_on_conflict, schema_of, within
from refit_tasks.storage.predictions_table import (
    SCORE,
    compact_small_files,
    predictions_of,
    read_scored_until,
    write_rows,
)
from refit_tasks.storage.staging import SpilledTables

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction


@dataclass(slots=True)
class StagedPredictions:
    """The predictions of one version, staged on disk."""

    context: PredictionContext
    pieces: SpilledTables
    schemas: dict[pa.Schema, None] = field(default_factory=dict)
    hashes: list[Identities] = field(default_factory=list)

    @classmethod
    def create(cls, context: PredictionContext, area: Path) -> StagedPredictions:
        """Creates an empty one.

        Args:
            context: Version, generation, role and time of the predictions.
            area: The directory for the staged files.

        Returns:
            Staged predictions to add rows to.
        """
        return cls(context, SpilledTables(area / f"said-{context.role}"))

    def add(self, rows: pa.Table) -> None:
        """Adds rows.

        Args:
            rows: Rows of the predictions table.
        """
        self.pieces.add(rows)
        self.schemas[rows.schema] = None
        self.hashes.append(_decode_hashes(rows["row_hash"]))

    @property
    def identities(self) -> Identities:
        """The hashes of the rows, in their order."""
        return np.concatenate([np.empty(0, "S16"), *self.hashes])


def commit_predictions(
    project: str, staged: Sequence[StagedPredictions], span: Window, until: datetime | None
) -> list[VersionCounts]:
    """Writes the predictions that the table does not hold yet.

    Args:
        project: The project's name.
        staged: The predictions of each version.
        span: The window of the event times of all rows.
        until: The event time up to which the project's own rows are then scored, which never moves back; `None` for
            rows of a file or table, and if earlier rows may be missing.

    Returns:
        For each version, how many rows were written now, and how many before.

    Raises:
        StateError: If other batches keep conflicting with the commit.
    """
    name = predictions_of(project)

    def step() -> list[VersionCounts]:
        table = open_table(name)
        known = _read_known_rows(table, staged, span) if table else {}
        nothing: Identities = np.empty(0, "S16")
        fresh = [not_in(one.identities, known.get(_model_key(one.context), nothing)) for one in staged]
        if any(mask.any() for mask in fresh):
            schema = _merge_schemas(staged, schema_of(table) if table else pa.schema([]))
            compact_small_files(
                name, write_rows(name, table, _new_rows(staged, fresh, schema), schema, _transaction(table, until))
            )
        return [VersionCounts(int(mask.sum()), int((~mask).sum())) for mask in fresh]

    return retry_on_conflict(step, name)


def _read_known_rows(
    table: DeltaTable, staged: Sequence[StagedPredictions], span: Window
) -> dict[tuple[int, str], Identities]:
    """Reads the hashes of the rows that earlier batches scored with these versions."""
    versions = ", ".join(str(one.context.version) for one in staged)
    where = f"source = 'batch' AND version IN ({versions}) AND {within('event_time', span)}"
    found: dict[tuple[int, str], list[Identities]] = {_model_key(one.context): [] for one in staged}
    for part in read(table, ["row_hash", "version", "role"], where):
        for (version, role), hashes in found.items():
            mine = pc.and_(pc.equal(part["version"], version), pc.equal(part["role"], role))
            hashes.append(_decode_hashes(part["row_hash"].filter(mine)))
    return {named: np.concatenate([np.empty(0, "S16"), *hashes]) for named, hashes in found.items()}


def _model_key(context: PredictionContext) -> tuple[int, str]:
    return context.version, context.role


def _merge_schemas(staged: Sequence[StagedPredictions], held: pa.Schema) -> pa.Schema:
    """Gives the columns of all rows, in the types of the table where it has them."""
    schema = held
    for raw in (raw for one in staged for raw in one.schemas):
        found = cast_for_storage(raw.empty_table(), schema).schema
        schema = pa.schema([*schema, *(field for field in found if field.name not in schema.names)])
    return schema


def _new_rows(
    staged: Sequence[StagedPredictions], fresh: Sequence[np.ndarray], schema: pa.Schema
) -> Iterator[pa.Table]:
    for one, mask in zip(staged, fresh, strict=True):
        start = 0
        for piece in one.pieces:
            rows = cast_for_storage(piece.filter(pa.array(mask[start : start + piece.num_rows])), schema)
            start += piece.num_rows
            yield pa.table([_column_or_nulls(rows, column) for column in schema], schema=schema)


def _column_or_nulls(rows: pa.Table, wanted: pa.Field) -> pa.ChunkedArray | pa.Array:
    return rows[wanted.name] if wanted.name in rows.column_names else pa.nulls(rows.num_rows, wanted.type)


def _transaction(table: DeltaTable | None, until: datetime | None) -> Transaction:
    from deltalake import Transaction

    marks = [mark for mark in (read_scored_until(table) if table else None, until) if mark]
    return Transaction(SCORE, to_microseconds(max(marks)) if marks else 0)


def _decode_hashes(hashes: pa.ChunkedArray) -> Identities:
    """Decodes hashes of 32 hexadecimal digits to 16 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(hashes.to_pylist())), "S16")
