"""Who serves: the ledger's newest generation decides, and MLflow's alias `champion` follows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from refit.errors import StateError
from refit.ledger import from_payload
from refit.models import Champion
from refit.project import Project
from tasks.ledger_database import champions, ledger, reading
from tasks.ledger_rows import as_entry
from tasks.mlflow_store import open_mlflow
from tasks.retries import not_ours

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

log = logging.getLogger(__name__)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=1, retry_condition_fn=not_ours)
def find_champion(definition: Project) -> Champion | None:
    """Finds the version that serves, and points MLflow's alias to it where a crash left the alias behind.

    Args:
        definition: The project.

    Returns:
        The champion by the ledger, or `None` while there is none.

    Raises:
        StateError: If the ledger cannot be read, or MLflow no longer has the champion's version.
    """
    serving = current_champion(definition.name)
    return follow_ledger(definition.name) if serving else None


def current_champion(project: str) -> Champion | None:
    """Reads the version that serves from the ledger alone.

    Args:
        project: The project's name.

    Returns:
        The champion, or `None` while there is none.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        return newest_champion(connection, project)


def newest_champion(connection: Connection, project: str) -> Champion | None:
    """Reads a project's newest generation within a transaction that does more.

    Args:
        connection: From `tasks.ledger_database`.
        project: The project's name.

    Returns:
        The champion, or `None` while there is none.
    """
    query = select(ledger).join(champions).where(champions.c.project == project)
    row = connection.execute(query.order_by(champions.c.generation.desc()).limit(1)).first()
    return from_payload(Champion, as_entry(row).payload["champion"]) if row else None


def follow_ledger(project: str) -> Champion | None:
    """Points MLflow's alias `champion` to the ledger's newest generation, until no newer one came in between.

    Args:
        project: The project's name.

    Returns:
        The champion that the alias points to, or `None` while there is none.

    Raises:
        StateError: If MLflow no longer has the champion's version.
    """
    client, serving = open_mlflow(), current_champion(project)
    while serving and _aliased(client, project) != serving.version:
        set_alias(client, project, "champion", serving.version)
        log.info("%s: MLflow's alias champion now points to version %d, as the ledger says", project, serving.version)
        serving = current_champion(project)
    return serving


def set_alias(client: MlflowClient, project: str, alias: str, version: int) -> None:
    """Points an alias of a registered model to a version.

    Args:
        client: From `tasks.mlflow_store.open_mlflow`.
        project: The project's name, which is the registered model's too.
        alias: `champion` or `challenger`.
        version: The version.

    Raises:
        StateError: If MLflow does not have that version.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.set_registered_model_alias(project, alias, str(version))
    except MlflowException as error:
        if _is_missing(error):
            raise StateError(
                f"the ledger names version {version} of {project} as its {alias}, but MLflow has no such version: "
                f"restore MLflow's database from the same backup as the ledger's"
            ) from error
        if not isinstance(error.__cause__, IntegrityError):
            raise
        # Another process was first to insert the alias; now it is there to be updated.
        client.set_registered_model_alias(project, alias, str(version))


def _aliased(client: MlflowClient, project: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(project, "champion").version)
    except MlflowException as error:
        if _is_missing(error):
            return None
        raise


def _is_missing(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
