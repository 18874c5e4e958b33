"""MLflow's alias `champion` held against the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from refit.errors import ProjectError
from refit.records.references import Champion
from refit.results.upkeep import Finding
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.promotion.champion import find_champion
from refit_tasks.registry.alias import GENERATION, aliased_version, follow_ledger

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def mend_alias(client: MlflowClient, project: str, dry_run: bool) -> Iterator[Finding]:
    """Brings the alias back to the champion that the ledger names.

    Where a person has moved it, the project's own policy settles that, as at the beginning of every flow.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If MLflow no longer has the champion's version.
    """
    serving, aliased = current_champion(project), aliased_version(client, project)
    if serving is None or (aliased and _agree(serving.version, serving.generation, aliased.version, aliased.tags)):
        return
    if not dry_run:
        _follow(project)
    yield Finding("alias", project, "moved", _sentence(project, serving, aliased))


def _agree(version: int, generation: int, aliased: str, tags: dict[str, str]) -> bool:
    return int(aliased) == version and tags.get(GENERATION) == str(generation)


def _sentence(project: str, serving: Champion, aliased: ModelVersion | None) -> str:
    champion = f"version {serving.version}, generation {serving.generation}"
    if aliased and int(aliased.version) == serving.version:  # a crash came before the tag, or the first release did
        return f"MLflow's alias champion of {project} points to {champion}, without a note of that: noted"
    found = f"version {aliased.version}" if aliased else "nothing"
    return (
        f"MLflow's alias champion of {project} pointed to {found}, and the ledger's champion is {champion}: "
        "brought together"
    )


def _follow(project: str) -> None:
    try:
        definition = find_project(project)
    except ProjectError:  # a project whose file is gone has no policy, and the ledger is the authority
        follow_ledger(project)
    else:
        find_champion.fn(definition)
