"""What the rows that a version was trained on tell of it: its features, and some of them to warm up on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.errors import DataError
from refit.inference.feature_schema import conformed, kinds_of
from refit.inference.json_columns import kind_of
from refit.modelling.preparation import pick, seen_by
from refit.project import Project
from refit.records.snapshots import SnapshotRef
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.snapshot_rows import frame, pinned, rows_of

MOST = 50
"""So many rows."""


def others_of(definition: Project) -> dict[str, str]:
    """Names what a row is known by: the project's key and its timestamp.

    Args:
        definition: The project.

    Returns:
        From column to kind, as the project's table has it; only the timestamp where there is no table.
    """
    table = open_table(definition.name)
    schema = schema_of(table) if table else pa.schema([])
    known = {name: kind_of(schema.field(name)) for name in definition.key if name in schema.names}
    return {**known, definition.timestamp: "time"}


def kinds_in(schema: pa.Schema, definition: Project, estimator: BaseEstimator) -> dict[str, str]:
    """Says what the features of a model are that does not tell itself, as those of the first release.

    Args:
        schema: That of the project's table.
        definition: The project.
        estimator: The model.

    Returns:
        From feature to kind, in the model's order.

    Raises:
        ModelError: If the table has lost one of them.
    """
    features = seen_by(estimator, definition.features_of(schema.names))
    return kinds_of(pick(frame(schema.empty_table()), features))


def recorded_kinds(definition: Project, trained_on: SnapshotRef, estimator: BaseEstimator) -> dict[str, str]:
    """Says the same by the table as it was.

    Args:
        definition: The project.
        trained_on: What the model was trained on.
        estimator: The model.

    Returns:
        From feature to kind; none where that version of the table is gone.
    """
    from deltalake.exceptions import DeltaError

    try:
        schema = schema_of(pinned(definition, trained_on.version))
    except (DataError, DeltaError, OSError):
        return {}
    return kinds_in(schema, definition, estimator)


def recorded_features(definition: Project, trained_on: SnapshotRef, kinds: Mapping[str, str]) -> pd.DataFrame | None:
    """Reads some rows that a model was trained on.

    Args:
        definition: The project.
        trained_on: What the model was trained on.
        kinds: The model's features.

    Returns:
        The features; `None` where the rows, or that version of the table, are gone.
    """
    from deltalake.exceptions import DeltaError

    try:
        table = pinned(definition, trained_on.version)
        parts = list(islice(read(table, where=rows_of(definition, trained_on)), 1))
    except (DataError, DeltaError, OSError):
        return None
    return conformed(kinds, frame(parts[0].slice(0, MOST))) if parts and parts[0].num_rows else None
