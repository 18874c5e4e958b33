"""The files of a stored model, its feature types, and some of its training rows to warm it up on."""

from __future__ import annotations

import json
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
from refit_infra.settings import Settings
from refit_tasks.model_files.model_hash import require_judged_files
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.scratch import scratch_area
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.snapshot_rows import open_at_version, row_condition, to_frame

KINDS = "refit.kinds"
"""The key of the model's metadata with the type of each feature, as JSON pairs in order."""

_GONE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's error code for something missing."""

_STORED = "models:/"
"""The scheme of the URI of a logged model."""


def logged_model_id(model: ModelRef) -> str | None:
    """Gives the id of a model in MLflow.

    Args:
        model: The model.

    Returns:
        The id of the logged model; `None` if its artifact is stored elsewhere.
    """
    return model.uri.removeprefix(_STORED) if model.uri.startswith(_STORED) else None


@contextmanager
def fetch_files(model: ModelRef) -> Iterator[Path]:
    """Downloads the files of a model to a temporary directory.

    Args:
        model: The model.

    Yields:
        The directory, which is removed afterwards.

    Raises:
        ModelError: If the artifact is missing.
        UntrustedModel: If its files are not those that were judged.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    open_mlflow()
    with scratch_area(model.project) as scratch:
        try:
            directory = download_artifacts(artifact_uri=model.uri, dst_path=str(scratch))
        except (MlflowException, OSError) as error:
            if not isinstance(error, FileNotFoundError) and getattr(error, "error_code", "") != _GONE:
                raise
            raise _missing_files(model) from error
        if not any(Path(directory).iterdir()):  # MLflow downloads nothing from a directory that is gone
            raise _missing_files(model)
        require_judged_files(model, Path(directory))
        yield Path(directory)


def _missing_files(model: ModelRef) -> ModelError:
    fix = (
        f"restore it from a backup, replace it with `refit retrain {model.project} --force`, or return to another "
        f"version by `refit rollback {model.project}`"
    )
    if (Settings().home / "mlartifacts" / model.project / "models" / (logged_model_id(model) or "-")).is_dir():
        fix = f"its files moved with the home: `refit doctor {model.project}` tells MLflow where they are"
    return ModelError(f"the artifact {model.uri} of run {model.run_id} is missing: {fix}")


def read_feature_kinds(directory: Path) -> dict[str, str]:
    """Reads the feature types that are stored with a model.

    Args:
        directory: The directory of the model's files.

    Returns:
        From feature to kind, in the model's order; empty if they are not stored.
    """
    if not (directory / "MLmodel").is_file():
        return {}
    from mlflow.models import Model

    kept = (Model.load(str(directory)).metadata or {}).get(KINDS, "[]")
    return {str(name): str(kind) for name, kind in json.loads(kept)}


WARM_UP_ROWS = 50
"""How many training rows are read for the warm-up."""


def identity_kinds(definition: Project) -> dict[str, str]:
    """Gives the kinds of the columns that identify a row: the project's key and its timestamp.

    Args:
        definition: The project.

    Returns:
        From column to kind in the project's table; only the timestamp if there is no table.
    """
    table = open_table(definition.name)
    schema = schema_of(table) if table else pa.schema([])
    known = {name: kind_of(schema.field(name)) for name in definition.key if name in schema.names}
    return {**known, definition.timestamp: "time"}


def infer_feature_kinds(schema: pa.Schema, definition: Project, estimator: BaseEstimator) -> dict[str, str]:
    """Infers the feature types of a model that has none stored, such as those of the first release.

    Args:
        schema: The schema of the project's table.
        definition: The project.
        estimator: The model.

    Returns:
        From feature to kind, in the model's order.

    Raises:
        ModelError: If the table no longer has one of the features.
    """
    features = features_seen_by(estimator, definition.features_of(schema.names))
    return feature_kinds(select_features(to_frame(schema.empty_table()), features))


def infer_kinds_in_training(definition: Project, trained_on: SnapshotRef, estimator: BaseEstimator) -> dict[str, str]:
    """Infers feature types from the version of the table that a model was trained on.

    Args:
        definition: The project.
        trained_on: The training rows of the model.
        estimator: The model.

    Returns:
        From feature to kind; empty if that version of the table is gone.
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
    """Reads up to `WARM_UP_ROWS` of the rows that a model was trained on.

    Args:
        definition: The project.
        trained_on: The training rows of the model.
        kinds: The model's features.

    Returns:
        The features; `None` if the rows, or that version of the table, are gone.
    """
    from deltalake.exceptions import DeltaError

    try:
        table = open_at_version(definition, trained_on.version)
        parts = list(islice(read(table, where=row_condition(definition, trained_on)), 1))
    except (DataError, DeltaError, OSError):
        return None
    return cast_features(kinds, to_frame(parts[0].slice(0, WARM_UP_ROWS))) if parts and parts[0].num_rows else None
