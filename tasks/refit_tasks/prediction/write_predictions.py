"""How the predictions of a batch get into their table: in one commit, each row once for each version.

Every such commit carries one application transaction, `refit-score`, and so excludes any other that has begun from the
same state: what a batch has read of the table still holds when it writes. Servers append beside it unhindered. The
transaction's number is how far the project's own rows have been scored.
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
from refit_tasks.storage.predictions_table import SCORE, mark_of, predictions_of, tidy, write_rows
from refit_tasks.storage.staging import SpilledTables

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction


@dataclass(slots=True)
class StagedPredictions:
    """What one version said, on disk."""

    asked: PredictionContext
    pieces: SpilledTables
    schemas: dict[pa.Schema, None] = field(default_factory=dict)
    hashes: list[Identities] = field(default_factory=list)

    @classmethod
    def begun(cls, asked: PredictionContext, area: Path) -> StagedPredictions:
        """Makes an empty one.

        Args:
            asked: What the predictions are recorded as.
            area: Scratch space.

        Returns:
            To be added to.
        """
        return cls(asked, SpilledTables(area / f"said-{asked.role}"))

    def add(self, rows: pa.Table) -> None:
        """Adds rows.

        Args:
            rows: Rows of the predictions' table.
        """
        self.pieces.add(rows)
        self.schemas[rows.schema] = None
        self.hashes.append(_decode_hashes(rows["row_hash"]))

    @property
    def identities(self) -> Identities:
        """The rows' hashes, in their order."""
        return np.concatenate([np.empty(0, "S16"), *self.hashes])


def commit_predictions(
    project: str, staged: Sequence[StagedPredictions], span: Window, until: datetime | None
) -> list[VersionCounts]:
    """Writes predictions that the table does not hold yet, or nothing if it holds all of them.

    Args:
        project: The project's name.
        staged: What each version said.
        span: The event times of all rows.
        until: How far the project's own rows have been scored with these; `None` where they are others, or some before
            them may be missing. It never goes back.

    Returns:
        For each version how many were written, and how many were there.

    Raises:
        StateError: If others keep writing such batches.
    """
    name = predictions_of(project)

    def step() -> list[VersionCounts]:
        table = open_table(name)
        known = _read_known_rows(table, staged, span) if table else {}
        nothing: Identities = np.empty(0, "S16")
        fresh = [not_in(one.identities, known.get(_model_key(one.asked), nothing)) for one in staged]
        if any(mask.any() for mask in fresh):
            schema = _merge_schemas(staged, schema_of(table) if table else pa.schema([]))
            tidy(name, write_rows(name, table, _new_rows(staged, fresh, schema), schema, _transaction(table, until)))
        return [VersionCounts(int(mask.sum()), int((~mask).sum())) for mask in fresh]

    return retry_on_conflict(step, name)


def _read_known_rows(
    table: DeltaTable, staged: Sequence[StagedPredictions], span: Window
) -> dict[tuple[int, str], Identities]:
    """Reads which rows the versions have answered in batches before."""
    versions = ", ".join(str(one.asked.version) for one in staged)
    where = f"source = 'batch' AND version IN ({versions}) AND {within('event_time', span)}"
    found: dict[tuple[int, str], list[Identities]] = {_model_key(one.asked): [] for one in staged}
    for part in read(table, ["row_hash", "version", "role"], where):
        for (version, role), hashes in found.items():
            mine = pc.and_(pc.equal(part["version"], version), pc.equal(part["role"], role))
            hashes.append(_decode_hashes(part["row_hash"].filter(mine)))
    return {named: np.concatenate([np.empty(0, "S16"), *hashes]) for named, hashes in found.items()}


def _model_key(asked: PredictionContext) -> tuple[int, str]:
    return asked.version, asked.role


def _merge_schemas(staged: Sequence[StagedPredictions], held: pa.Schema) -> pa.Schema:
    """Gives the columns of all rows, in the types in which the table holds them."""
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

    marks = [mark for mark in (mark_of(table) if table else None, until) if mark]
    return Transaction(SCORE, to_microseconds(max(marks)) if marks else 0)


def _decode_hashes(hashes: pa.ChunkedArray) -> Identities:
    """Gives hashes of 32 hexadecimal characters as the 16 bytes that they spell."""
    return np.frombuffer(bytes.fromhex("".join(hashes.to_pylist())), "S16")
