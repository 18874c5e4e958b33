"""The files of a stored model, and what is read from them without loading it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refit.errors import ModelError
from refit.records.references import ModelRef
from refit_tasks.registry.mlflow_client import open_mlflow

KINDS = "refit.kinds"
"""Under this name the model's description holds what each feature was in training, as JSON pairs in order."""

FORMS = "onnx"
"""In this directory of a model its ONNX form lies, under its own hash."""

_GONE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's code for what it does not have."""

_STORED = "models:/"
"""How the address of a model begins that MLflow keeps."""


def stored_id(model: ModelRef) -> str | None:
    """Names a model as MLflow does.

    Args:
        model: The model.

    Returns:
        The id of MLflow's logged model; `None` where its artifact lies elsewhere.
    """
    return model.uri.removeprefix(_STORED) if model.uri.startswith(_STORED) else None


@contextmanager
def fetched(model: ModelRef) -> Iterator[Path]:
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


def kinds_beside(directory: Path) -> dict[str, str]:
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
