"""The registered model of a project in MLflow: what it says of itself, and its versions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from refit.gate.judgements import Judgement
from refit.project import Project
from refit.records.references import ModelRef
from refit_tasks.registry.mlflow_tags import LONGEST, form_tags, verdict_tags
from refit_tasks.registry.model_signature import stored_id
from refit_tasks.registry.source_tags import flow_run_tags
from refit_tasks.registry.verdict_report import verdict_page

if TYPE_CHECKING:
    from mlflow import MlflowClient

DESCRIBED = "refit.described"
"""The tag that holds a hash of the description that Refit wrote: one that a person has written instead is kept."""

_LONGEST = 5_000
"""How many characters MLflow's database takes as a description."""


def describe(client: MlflowClient, definition: Project) -> None:
    """Creates the registered model, or brings what it says up to date with the project file.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
    """
    from mlflow.exceptions import MlflowException

    text, tags = _description(definition), _tags(definition)
    try:
        client.create_registered_model(definition.name, {**tags, DESCRIBED: _hash(text)}, text)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        _update(client, definition.name, text, tags)


def version_of(client: MlflowClient, definition: Project, model: ModelRef) -> int | None:
    """Finds the version that a model was registered as.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
        model: The model.

    Returns:
        The number; `None` where it has none yet.
    """
    found = client.search_model_versions(f"name = '{definition.name}' and run_id = '{model.run_id}'")
    return min((int(version.version) for version in found), default=None)


def create_version(client: MlflowClient, definition: Project, judgement: Judgement) -> int:
    """Makes a judged model a version, with its verdict as the description.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
        judgement: The model and its verdict.

    Returns:
        The number.
    """
    describe(client, definition)
    model, page = judgement.serving, verdict_page(judgement)[:_LONGEST]
    tags, stored = _version_tags(judgement), stored_id(model)  # a server refuses a source whose id it is not told
    created = client.create_model_version(
        definition.name, model.uri, model.run_id, tags, description=page, model_id=stored
    )
    return int(created.version)


def _update(client: MlflowClient, name: str, text: str, tags: dict[str, str]) -> None:
    standing = client.get_registered_model(name)
    said = standing.description or ""
    if said in ("", text) or _hash(said) == standing.tags.get(DESCRIBED):
        tags = {**tags, DESCRIBED: _hash(text)}
        if said != text:
            client.update_registered_model(name, text)
    for tag, value in tags.items():
        if standing.tags.get(tag) != value:
            client.set_registered_model_tag(name, tag, value)


def _version_tags(judgement: Judgement) -> dict[str, str]:
    """Says what a version is; its ledger entry and what becomes of it are added when they are known."""
    rows, compared = judgement.serving.trained_on, judgement.comparison
    return {
        **verdict_tags(judgement.verdict),
        **form_tags(judgement.form),
        "refit.metric": compared.metric,
        "refit.value": repr(compared.challenger.value),
        "refit.over": str(judgement.over.version) if judgement.over else "none",
        "refit.reason": judgement.reason[:LONGEST],
        "refit.run_key": judgement.model.run_key,
        "refit.fingerprint": rows.fingerprint,
        "refit.table_version": str(rows.version),
        "refit.trained_from": rows.window.start.isoformat(),
        "refit.trained_until": rows.window.end.isoformat(),
        **flow_run_tags(),
    }


def _description(definition: Project) -> str:
    file = f"the project file `{definition.file.name}`" if definition.file else "its project file"
    maintained = (
        f"Kind: {definition.kind}. Target: `{definition.target}`. Maintained by Refit from {file}: the alias "
        f"`champion` is what serves, `challenger` is what was judged last."
    )
    return "\n\n".join(part for part in (definition.description, maintained) if part)[:_LONGEST]


def _tags(definition: Project) -> dict[str, str]:
    return {"refit.project": definition.name, "refit.kind": definition.kind, "refit.target": definition.target}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
