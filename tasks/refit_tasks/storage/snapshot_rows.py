"""A project's table as the models see it: the rows of a snapshot, the same ones in the same order at any time.

Rows of a project's table a piece at a time, and what a model says of them: memory does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from refit.data.fingerprint import bottom_k_sample
from refit.data.schema import CATEGORY
from refit.inference.prediction_summary import output_columns
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import features_seen_by, select_features
from refit.project import Project
from refit.records.references import SnapshotRef
from refit_tasks.storage.delta import missing_table, quoted, read, schema_of, uri_of, within

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from sklearn.base import BaseEstimator


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
    """Reads the rows of a snapshot, the same rows in the same order whenever and wherever.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: The columns wanted, in that order; all of them by default.
        table: The project's table at the snapshot's version, where it is open already.

    Returns:
        The rows sorted by the key; without a key by event time and then by all columns. Texts are `str`, columns that
        were categories are again, times are in UTC, whole numbers with gaps are floats, and so are truth values.
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
    """Turns rows of a table into the frame that projects and models see.

    Args:
        rows: Rows with the field metadata of the table's schema.

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
    """Opens a project's table as it was.

    Args:
        definition: The project.
        version: The version of its table.

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
    """Opens a project's table as several snapshots need it, once for each version.

    Args:
        definition: The project.
        refs: The snapshots.

    Returns:
        From version to the table at that version.

    Raises:
        NotEnoughData: If the project has no table.
    """
    return {version: open_at_version(definition, version) for version in {ref.version for ref in refs}}


def _only(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


CHUNK_ROWS = 100_000
"""So many rows are held at a time."""


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


def predict_outputs(estimator: BaseEstimator, definition: Project, rows: pa.Table) -> pa.Table:
    """Gives a model's answers for rows of the table.

    Args:
        estimator: The fitted estimator.
        definition: The project.
        rows: The rows, with the columns that it was fitted on.

    Returns:
        One column per output, and the event time.

    Raises:
        ModelError: If it cannot predict these rows.
    """
    columns = features_seen_by(estimator, definition.features_of(rows.column_names))
    answers = output_columns(predict_once(estimator, select_features(to_frame(rows), columns)))
    return answers.append_column(definition.timestamp, rows.column(definition.timestamp))


def read_sample(
    definition: Project,
    ref: SnapshotRef,
    columns: list[str],
    identity: list[str],
    most: int,
    table: DeltaTable | None = None,
) -> pd.DataFrame:
    """Reads some of a snapshot's rows that stand for all of them, the same ones whenever.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: Those to read.
        identity: Those that tell one row from another, which are read, too.
        most: How many rows at most.
        table: The project's table at the snapshot's version, where it is open already.

    Returns:
        The rows, in any order; no columns where there are none.
    """
    rows = bottom_k_sample(read_chunks(definition, ref, [*columns, *identity], table), identity, most)
    return pd.DataFrame() if rows is None else to_frame(rows)
