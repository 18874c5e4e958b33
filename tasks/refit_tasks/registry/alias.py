"""MLflow's alias `champion`: it follows the ledger, and tells whether a person has moved it."""

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
"""The tag of a version that names the generation for which the alias has been set. An alias that points elsewhere
although that tag is there was moved by hand; without the tag, a crash came before it."""
SETTLED = "refit.settled"
"""The tag of a version that names the ledger entry of the newest move of the alias that was put right."""


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where MLflow's alias `champion` points, beside the version that serves by the ledger."""

    expected: int
    """The version that serves."""
    found: int
    """The version that the alias points to; 0 where there is none."""
    noted: bool
    """Whether the alias has been set for the generation that serves."""
    settled: int
    """The ledger entry of the newest move of the alias that was put right; 0 if there was none."""

    @property
    def follows(self) -> bool:
        """Whether the alias is where the ledger wants it."""
        return self.noted and self.found == self.expected

    @property
    def moved(self) -> bool:
        """Whether a person has moved it."""
        return self.noted and self.found != self.expected


def follow_ledger(project: str, serving: Champion | None = None) -> Champion | None:
    """Points MLflow's alias `champion` to the ledger's newest generation, until no newer one came in between.

    Args:
        project: The project's name.
        serving: The champion, where it was read just before; read from the ledger if left out.

    Returns:
        The champion that the alias points to, or `None` while there is none.

    Raises:
        StateError: If MLflow no longer has the champion's version.
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
    """Looks where the alias points.

    Args:
        project: The project's name.
        serving: The champion by the ledger.

    Returns:
        What was found.
    """
    client = open_mlflow()
    aliased = aliased_version(client, project)
    found = int(aliased.version) if aliased else 0
    tags = aliased.tags if aliased and found == serving.version else _read_tags(client, project, serving.version)
    noted = tags.get(GENERATION) == str(serving.generation)
    return AliasState(serving.version, found, noted, int(tags.get(SETTLED, 0)))


def tag_repaired_move(project: str, champion: Champion, entry_id: int) -> None:
    """Notes that a move is put right, so that the next one to the same place is told from it.

    Args:
        project: The project's name.
        champion: The version that serves.
        entry_id: The ledger entry of the move.
    """
    tag_version(open_mlflow(), project, champion.version, SETTLED, entry_id)


def set_alias(client: MlflowClient, project: str, alias: str, version: int) -> None:
    """Points an alias of a registered model to a version.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name, which is the registered model's too.
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
            f"the ledger names version {version} of {project} as its {alias}, but MLflow has no such version: "
            f"restore MLflow's database from the same backup as the ledger's"
        ) from error


def aliased_version(client: MlflowClient, project: str, alias: str = "champion") -> ModelVersion | None:
    """Finds the version that an alias points to.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        alias: `champion` or `challenger`.

    Returns:
        The version, or `None` where there is no such alias.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(project, alias)
    except MlflowException as error:
        if _is_missing(error):
            return None
        raise


def tag_version(client: MlflowClient, project: str, version: int, tag: str, value: str | int) -> None:
    """Tags a version, whoever else is writing the same tag.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        version: The version.
        tag: The tag's name.
        value: Its value.
    """
    _retry_if_raced(lambda: client.set_model_version_tag(project, str(version), tag, str(value)))


def _retry_if_raced(write: Callable[[], object]) -> None:
    """Writes once more where another process was first to insert the row: now it is there to be updated.

    A server words that as a bad request like any other, so every refusal but a missing version gets a second try.
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
