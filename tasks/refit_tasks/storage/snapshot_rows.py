"""Rows of a snapshot: as a frame in a reproducible order, in chunks, as a sample, or with a model's predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from refit.data.fingerprint import bottom_k_sample
from refit.data.schema import CATEGORY
from refit.errors import DataError
from refit.inference.prediction_summary import output_columns
from refit.modelling.former_types import cast_to_former_types
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import features_seen_by, select_features
from refit.project import Project
from refit.records.references import SnapshotRef
from refit_tasks.storage.delta import missing_table, quoted, read, schema_of, uri_of, within

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from sklearn.base import BaseEstimator

CHUNK_ROWS = 100_000
"""The approximate number of rows of a chunk."""


def row_condition(definition: Project, ref: SnapshotRef) -> str:
    """Writes the SQL condition for the rows of a snapshot.

    Args:
        definition: The project.
        ref: The snapshot.

    Returns:
        A condition for the table at the snapshot's version.
    """
    labelled = f" AND {quoted(definition.target)} IS NOT NULL" if ref.labelled else ""
    return within(definition.timestamp, ref.window) + labelled


def scan_rows(definition: Project, ref: SnapshotRef) -> Iterator[pa.RecordBatch]:
    """Streams the rows of a snapshot, in any order.

    Args:
        definition: The project.
        ref: The snapshot.

    Yields:
        Some thousand rows at a time.
    """
    for part in read(open_at_version(definition, ref.version), where=row_condition(definition, ref)):
        yield from part.to_batches()


def read_rows(
    definition: Project, ref: SnapshotRef, columns: list[str] | None = None, table: DeltaTable | None = None
) -> pd.DataFrame:
    """Reads the rows of a snapshot in a reproducible order.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: The columns to read, in that order; all by default.
        table: The project's table at the snapshot's version, if it is open already.

    Returns:
        The rows, sorted by key; without a key by event time and then by all columns. Text is `str`, categorical columns
        are categorical again, times are in UTC, and integers or booleans with missing values are floats.
    """
    table = table or open_at_version(definition, ref.version)
    schema = schema_of(table)
    wanted = columns or schema.names
    order = list(definition.key) or [definition.timestamp, *(n for n in schema.names if n != definition.timestamp)]
    needed = [name for name in schema.names if name in {*wanted, *order}]
    parts = read(table, needed, row_condition(definition, ref))
    rows = pa.Table.from_batches([batch for part in parts for batch in part.to_batches()], _only(schema, needed))
    return to_frame(rows.sort_by([(name, "ascending") for name in order]).select(wanted))


def to_frame(rows: pa.Table) -> pd.DataFrame:
    """Converts rows of a table to the frame that models are fitted on.

    Args:
        rows: The rows, with the field metadata of the table's schema.

    Returns:
        The frame, with the types that `read_rows` describes.
    """
    for place, field in enumerate(rows.schema):
        if pa.types.is_boolean(field.type) and rows.column(place).null_count:
            numbers = rows.column(place).cast(pa.uint8()).cast(pa.float64())
            rows = rows.set_column(place, field.name, numbers)
    categories = [field.name for field in rows.schema if field.metadata and CATEGORY.items() <= field.metadata.items()]
    plain: pd.DataFrame = rows.to_pandas()
    return plain.astype(dict.fromkeys(categories, "category"))


def open_at_version(definition: Project, version: int) -> DeltaTable:
    """Opens a project's table at a version.

    Args:
        definition: The project.
        version: The version of the table.

    Returns:
        The table at that version.

    Raises:
        NotEnoughData: If the project has no table.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri_of(definition.name), version=version)
    except TableNotFoundError:
        raise missing_table(definition.name) from None


def open_versions(definition: Project, *refs: SnapshotRef) -> dict[int, DeltaTable]:
    """Opens a project's table for several snapshots, once per version.

    Args:
        definition: The project.
        refs: The snapshots.

    Returns:
        The table at each version, by version.

    Raises:
        NotEnoughData: If the project has no table.
    """
    return {version: open_at_version(definition, version) for version in {ref.version for ref in refs}}


def read_training_schema(definition: Project, trained_on: SnapshotRef) -> pa.Schema | None:
    """Reads the schema that the table had when a model was trained on it.

    Args:
        definition: The project.
        trained_on: The training rows of the model.

    Returns:
        The schema; `None` if that version of the table is gone.
    """
    from deltalake.exceptions import DeltaError

    try:
        return schema_of(open_at_version(definition, trained_on.version))
    except (DataError, DeltaError, OSError):
        return None


def _only(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


def read_chunks(
    definition: Project, ref: SnapshotRef, columns: list[str], table: DeltaTable | None = None
) -> Iterator[pa.Table]:
    """Streams some columns of a snapshot's rows.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: Their names.
        table: The project's table at the snapshot's version, where it is open already.

    Yields:
        About 100,000 rows at a time, in any order.
    """
    waiting: list[pa.Table] = []
    table = table or open_at_version(definition, ref.version)
    for part in read(table, list(dict.fromkeys(columns)), row_condition(definition, ref)):
        waiting.append(part)
        if sum(held.num_rows for held in waiting) >= CHUNK_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def predict_outputs(
    estimator: BaseEstimator, definition: Project, rows: pa.Table, former: pa.Schema | None = None
) -> pa.Table:
    """Predicts rows of a project's table.

    Args:
        estimator: The fitted estimator.
        definition: The project.
        rows: The rows, with the columns that the estimator was fitted on.
        former: The schema that the table had when the estimator was fitted, if it may have changed since.

    Returns:
        One column per output, and the event time.

    Raises:
        ModelError: If the estimator cannot predict these rows.
    """
    columns = features_seen_by(estimator, definition.features_of(rows.column_names))
    frame = cast_to_former_types(to_frame(rows), former, rows.schema) if former else to_frame(rows)
    outputs = output_columns(predict_once(estimator, select_features(frame, columns)))
    return outputs.append_column(definition.timestamp, rows.column(definition.timestamp))


def read_sample(
    definition: Project,
    ref: SnapshotRef,
    columns: list[str],
    identity: list[str],
    most: int,
    table: DeltaTable | None = None,
) -> pd.DataFrame:
    """Reads a reproducible sample of a snapshot's rows.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: The columns to read.
        identity: The columns that identify a row; they are read, too.
        most: The maximum number of rows.
        table: The project's table at the snapshot's version, if it is open already.

    Returns:
        The rows, in any order; a frame without columns if the snapshot is empty.
    """
    rows = bottom_k_sample(read_chunks(definition, ref, [*columns, *identity], table), identity, most)
    return pd.DataFrame() if rows is None else to_frame(rows)
