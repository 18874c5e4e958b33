"""Rows of a project's table a piece at a time, and what a model says of them: memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from refit.data.thinning import thinned
from refit.inference.prediction_summary import outputs
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import pick, seen_by
from refit.project import Project
from refit.records.snapshots import SnapshotRef
from refit_tasks.storage.delta import read
from refit_tasks.storage.snapshot_rows import frame, pinned, rows_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

CHUNK = 100_000
"""So many rows are held at a time."""


def chunks(definition: Project, ref: SnapshotRef, columns: list[str]) -> Iterator[pa.Table]:
    """Streams some columns of a snapshot's rows.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: Their names.

    Yields:
        About 100,000 rows at a time, in any order.
    """
    waiting: list[pa.Table] = []
    for part in read(pinned(definition, ref.version), list(dict.fromkeys(columns)), rows_of(definition, ref)):
        waiting.append(part)
        if sum(table.num_rows for table in waiting) >= CHUNK:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def said_of(estimator: BaseEstimator, definition: Project, rows: pa.Table) -> pa.Table:
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
    columns = seen_by(estimator, definition.features_of(rows.column_names))
    answers = outputs(predict_once(estimator, pick(frame(rows), columns)))
    return answers.append_column(definition.timestamp, rows.column(definition.timestamp))


def sampled(definition: Project, ref: SnapshotRef, columns: list[str], identity: list[str], most: int) -> pd.DataFrame:
    """Reads some of a snapshot's rows that stand for all of them, the same ones whenever.

    Args:
        definition: The project.
        ref: The snapshot.
        columns: Those to read.
        identity: Those that tell one row from another, which are read, too.
        most: How many rows at most.

    Returns:
        The rows, in any order; no columns where there are none.
    """
    rows = thinned(chunks(definition, ref, [*columns, *identity]), identity, most)
    return pd.DataFrame() if rows is None else frame(rows)
