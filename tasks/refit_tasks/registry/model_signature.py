"""The files of a stored model, and what is read from them without loading it.

What the rows that a version was trained on tell of it: its features, and some of them to warm up on.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.errors import DataError, ModelError
from refit.inference.feature_schema import cast_features, feature_kinds
from refit.inference.json_columns import kind_of
from refit.modelling.preparation import features_seen_by, select_features
from refit.project import Project
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.snapshot_rows import frame, open_at_version, rows_of

KINDS = "refit.kinds"
"""Under this name the model's description holds what each feature was in training, as JSON pairs in order."""

FORM_DIRECTORY = "onnx"
"""In this directory of a model its ONNX form lies, under its own hash."""

_GONE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's code for what it does not have."""

_STORED = "models:/"
"""How the address of a model begins that MLflow keeps."""


def logged_model_id(model: ModelRef) -> str | None:
    """Names a model as MLflow does.

    Args:
        model: The model.

    Returns:
        The id of MLflow's logged model; `None` where its artifact lies elsewhere.
    """
    return model.uri.removeprefix(_STORED) if model.uri.startswith(_STORED) else None


@contextmanager
def fetch_files(model: ModelRef) -> Iterator[Path]:
    """Brings the files of a model from the artifact store.

    Args:
        model: Which model.

    Yields:
        The directory that holds them, for as long as it is needed.

    Raises:
        ModelError: If the artifact is gone.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    open_mlflow()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            directory = download_artifacts(artifact_uri=model.uri, dst_path=scratch)
        except (MlflowException, OSError) as error:
            if not isinstance(error, FileNotFoundError) and getattr(error, "error_code", "") != _GONE:
                raise
            raise ModelError(
                f"the artifact {model.uri} of run {model.run_id} is gone: restore it from a backup, or let "
                f"another version serve by `refit rollback {model.project}`"
            ) from error
        yield Path(directory)


def read_feature_kinds(directory: Path) -> dict[str, str]:
    """Reads what each feature was in training, as it is kept with the model.

    Args:
        directory: The model's files.

    Returns:
        From feature to kind, in the model's order; empty where it is not kept.
    """
    if not (directory / "MLmodel").is_file():
        return {}
    from mlflow.models import Model

    kept = (Model.load(str(directory)).metadata or {}).get(KINDS, "[]")
    return {str(name): str(kind) for name, kind in json.loads(kept)}


WARM_UP_ROWS = 50
"""So many rows."""


def identity_kinds(definition: Project) -> dict[str, str]:
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


def infer_feature_kinds(schema: pa.Schema, definition: Project, estimator: BaseEstimator) -> dict[str, str]:
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
    features = features_seen_by(estimator, definition.features_of(schema.names))
    return feature_kinds(select_features(frame(schema.empty_table()), features))


def infer_kinds_in_training(definition: Project, trained_on: SnapshotRef, estimator: BaseEstimator) -> dict[str, str]:
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
        schema = schema_of(open_at_version(definition, trained_on.version))
    except (DataError, DeltaError, OSError):
        return {}
    return infer_feature_kinds(schema, definition, estimator)


def read_training_features(
    definition: Project, trained_on: SnapshotRef, kinds: Mapping[str, str]
) -> pd.DataFrame | None:
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
        table = open_at_version(definition, trained_on.version)
        parts = list(islice(read(table, where=rows_of(definition, trained_on)), 1))
    except (DataError, DeltaError, OSError):
        return None
    return cast_features(kinds, frame(parts[0].slice(0, WARM_UP_ROWS))) if parts and parts[0].num_rows else None
