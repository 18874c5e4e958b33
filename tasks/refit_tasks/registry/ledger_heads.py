"""Heads of the ledger as tags of the versions in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refit_tasks.ledger.heads import HEAD, LedgerHead, find_head, parse_head
from refit_tasks.ledger.record import known_projects
from refit_tasks.registry.alias import tag_version
from refit_tasks.registry.mlflow_client import open_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


def tag_head(client: MlflowClient, project: str, version: int) -> None:
    """Tags a version with the newest entry of the ledger.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        version: The version.
    """
    if head := find_head():
        tag_version(client, project, version, HEAD, str(head))


def find_tagged_heads() -> list[LedgerHead]:
    """Finds the heads that the versions in MLflow are tagged with.

    Returns:
        The heads of all versions of all registered models; versions of former releases have none.
    """
    client = open_mlflow()
    names = sorted({*(one.name for one in client.search_registered_models()), *known_projects()})
    versions = [one for name in names for one in client.search_model_versions(f"name = '{name}'")]
    found = (
        parse_head(one.tags.get(HEAD, ""), f"the tag {HEAD} of version {one.version} of {one.name} in MLflow")
        for one in versions
    )
    return [head for head in found if head]
