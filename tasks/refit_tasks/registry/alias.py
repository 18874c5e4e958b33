"""MLflow's alias `champion`: reconciliation with the ledger, and detection of moves by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refit.errors import StateError
from refit.records.references import Champion
from refit_tasks.ledger.generations import current_champion
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import PROMOTED, VERDICT, open_mlflow
from refit_tasks.retries import retry_registry_write

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

log = logging.getLogger(__name__)

GENERATION = "refit.generation"
"""The tag of a version with the generation for which the alias has been set. If the tag is there and the alias points
elsewhere, it was moved by hand; without the tag, a crash came before it was set."""
SETTLED = "refit.settled"
"""The tag of a version with the ledger entry of the newest move of the alias that was repaired."""


@dataclass(frozen=True, slots=True)
class AliasState:
    """The version that MLflow's alias `champion` points to, and the champion of the ledger."""

    expected: int
    """The champion of the ledger."""
    found: int
    """The version that the alias points to; 0 if there is no alias."""
    noted: bool
    """Whether the alias has been set for the champion's generation."""
    settled: int
    """The ledger entry of the newest repaired move of the alias; 0 if there was none."""

    @property
    def follows(self) -> bool:
        """Whether the alias agrees with the ledger."""
        return self.noted and self.found == self.expected

    @property
    def moved(self) -> bool:
        """Whether the alias was moved by hand."""
        return self.noted and self.found != self.expected


def follow_ledger(project: str, serving: Champion | None = None) -> Champion | None:
    """Sets MLflow's alias `champion` to the ledger's newest generation, again if a newer one appears meanwhile.

    Args:
        project: The project's name.
        serving: The champion, if it was read just before; read from the ledger by default.

    Returns:
        The champion that the alias points to; `None` if there is none.

    Raises:
        StateError: If MLflow does not have the champion's version.
    """
    client, serving = open_mlflow(), serving or current_champion(project)
    while serving:
        aliased = aliased_version(client, project)
        if aliased is None or int(aliased.version) != serving.version:
            set_alias(client, project, "champion", serving.version)
            with_project(log, project).info("MLflow's alias champion now points to version %d", serving.version)
        elif aliased.tags.get(GENERATION) == str(serving.generation):
            return serving
        tag_version(client, project, serving.version, VERDICT, PROMOTED)
        tag_version(client, project, serving.version, GENERATION, serving.generation)
        serving = current_champion(project)
    return serving


def read_alias(project: str, serving: Champion) -> AliasState:
    """Reads the state of the alias.

    Args:
        project: The project's name.
        serving: The champion of the ledger.

    Returns:
        The state.
    """
    client = open_mlflow()
    aliased = aliased_version(client, project)
    found = int(aliased.version) if aliased else 0
    tags = aliased.tags if aliased and found == serving.version else _read_tags(client, project, serving.version)
    noted = tags.get(GENERATION) == str(serving.generation)
    return AliasState(serving.version, found, noted, int(tags.get(SETTLED, 0)))


def tag_repaired_move(project: str, champion: Champion, entry_id: int) -> None:
    """Tags the champion's version with a repaired move, so that a later move to the same version is a new one.

    Args:
        project: The project's name.
        champion: The version that serves.
        entry_id: The ledger entry of the move.
    """
    tag_version(open_mlflow(), project, champion.version, SETTLED, entry_id)


def set_alias(client: MlflowClient, project: str, alias: str, version: int) -> None:
    """Sets an alias of a registered model to a version.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name, which is also the registered model's.
        alias: `champion` or `challenger`.
        version: The version.

    Raises:
        StateError: If MLflow does not have that version.
    """
    from mlflow.exceptions import MlflowException

    try:
        _retry_if_raced(lambda: client.set_registered_model_alias(project, alias, str(version)))
    except MlflowException as error:
        if not _is_missing(error):
            raise
        raise StateError(
            f"version {version} of {project} is the {alias} in the ledger, but is missing in MLflow: register it again "
            f"from its files with `refit doctor {project}`, or replace it with `refit retrain {project} --force`"
        ) from error


def has_version(client: MlflowClient, project: str, version: int) -> bool:
    """Tells whether MLflow has a version.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        version: The version.

    Returns:
        Whether it is registered.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(project, str(version))
    except MlflowException as error:
        if _is_missing(error):
            return False
        raise
    return True


def aliased_version(client: MlflowClient, project: str, alias: str = "champion") -> ModelVersion | None:
    """Finds the version that an alias points to.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        alias: `champion` or `challenger`.

    Returns:
        The version; `None` if there is no such alias.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(project, alias)
    except MlflowException as error:
        if _is_missing(error):
            return None
        raise


def tag_version(client: MlflowClient, project: str, version: int, tag: str, value: str | int) -> None:
    """Tags a version, also while other processes write the same tag.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        version: The version.
        tag: The tag's name.
        value: Its value.
    """
    _retry_if_raced(lambda: client.set_model_version_tag(project, str(version), tag, str(value)))


def _retry_if_raced(write: Callable[[], object]) -> None:
    """Retries a write once, in case another process was first to insert the row.

    A server reports that as a bad request like any other, so every error but a missing version is retried.
    """
    retry_registry_write(_is_race)(write)


def _is_race(error: BaseException) -> bool:
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and not _is_missing(error)


def _read_tags(client: MlflowClient, project: str, version: int) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_model_version(project, str(version)).tags)
    except MlflowException as error:
        if _is_missing(error):
            return {}
        raise


def _is_missing(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
