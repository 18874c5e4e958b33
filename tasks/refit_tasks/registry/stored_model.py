"""A stored model: brought from the artifact store with its files, and loaded with the code that it was made with."""

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
    """A model that was loaded, and its files, which are there as long as it is open."""

    estimator: BaseEstimator
    directory: Path

    @property
    def kinds(self) -> dict[str, str]:
        """From feature to kind, in the model's order; empty where that is not kept."""
        return read_feature_kinds(self.directory)


@contextmanager
def open_model(definition: Project, model: ModelRef) -> Iterator[StoredModel]:
    """Brings a model from the artifact store, loads it, and keeps its files for as long as the block lasts.

    Args:
        definition: The project, for its trusted types.
        model: Which model.

    Yields:
        The model, which keeps its classes afterwards.

    Raises:
        ModelError: If the artifact is gone, damaged or of another format.
        UntrustedModel: If it holds a type outside the allow-list.
    """
    with fetch_files(model) as directory, use_model_code(definition, model):
        yield StoredModel(load_model(directory, definition.trusted_types), directory)


def fetch_model(definition: Project, model: ModelRef) -> BaseEstimator:
    """Brings a model from the artifact store and loads it.

    Args:
        definition: The project, for its trusted types.
        model: Which model.

    Returns:
        The fitted estimator.

    Raises:
        ModelError: If the artifact is gone, damaged or of another format.
        UntrustedModel: If it holds a type outside the allow-list.
    """
    with open_model(definition, model) as stored:
        return stored.estimator
