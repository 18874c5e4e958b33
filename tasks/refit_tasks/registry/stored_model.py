"""Loading of a stored model: its files from the artifact store, and the code that it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sklearn.base import BaseEstimator

from refit.project import Project
from refit.records.references import ModelRef
from refit_tasks.registry.model_signature import fetch_files, read_feature_kinds
from refit_tasks.registry.model_store import load_model
from refit_tasks.registry.own_code import use_model_code


class StoredModel(NamedTuple):
    """A loaded model, and the directory of its files while it is open."""

    estimator: BaseEstimator
    directory: Path

    @property
    def kinds(self) -> dict[str, str]:
        """From feature to kind, in the model's order; empty if they are not stored."""
        return read_feature_kinds(self.directory)


@contextmanager
def open_model(definition: Project, model: ModelRef) -> Iterator[StoredModel]:
    """Downloads a model and loads it; its files are removed at the end of the block.

    Args:
        definition: The project, for its trusted types.
        model: The model.

    Yields:
        The model, which keeps its classes afterwards.

    Raises:
        ModelError: If the artifact is missing, damaged or of another format.
        UntrustedModel: If it has a type outside the allow-list.
    """
    with fetch_files(model) as directory, use_model_code(definition, model):
        yield StoredModel(load_model(directory, definition.trusted_types), directory)


def fetch_model(definition: Project, model: ModelRef) -> BaseEstimator:
    """Downloads a model and loads it.

    Args:
        definition: The project, for its trusted types.
        model: The model.

    Returns:
        The fitted estimator.

    Raises:
        ModelError: If the artifact is missing, damaged or of another format.
        UntrustedModel: If it has a type outside the allow-list.
    """
    with open_model(definition, model) as stored:
        return stored.estimator
