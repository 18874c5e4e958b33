"""Registration of a judged model: one version in MLflow and one verdict in the ledger, however often it is retried."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.ledger import as_payload, from_payload
from refit.records.references import Challenger, ModelRef
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import current_champion, generation_of
from refit_tasks.ledger.record import entry_once
from refit_tasks.ledger.transactions import append, find_once
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.presentation.summaries import summarize_verdict
from refit_tasks.project_log import with_project
from refit_tasks.registry.alias import set_alias, tag_version
from refit_tasks.registry.challengers import read_challenger, read_judgement
from refit_tasks.registry.ledger_heads import tag_head
from refit_tasks.registry.mlflow_client import ENTRY, MAX_TAG_LENGTH, form_tags, open_mlflow, verdict_tags
from refit_tasks.registry.model_signature import logged_model_id
from refit_tasks.registry.recipe import read_recipe
from refit_tasks.registry.source_tags import flow_run_tags
from refit_tasks.registry.verdict_report import render_verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient


log = logging.getLogger(__name__)


@define_retry_task("register a version of {definition.name}")
def register(definition: Project, judgement: Judgement, at: datetime) -> Challenger:
    """Registers a judged model as a version, and records its verdict with all evidence.

    Each run key has one version and one verdict: what a killed run has left is completed, and a recorded verdict stays
    as it is, whatever is passed the second time.

    Args:
        definition: The project.
        judgement: The model, its verdict, and the evidence.
        at: The time of the verdict, UTC.

    Returns:
        The recorded challenger.
    """
    client = open_mlflow()
    version = find_version(client, definition, judgement.serving) or create_version(client, definition, judgement)
    judgement = replace(judgement, recipe=read_recipe(judgement.serving))
    evidence = {"version": version, "promote": judgement.verdict.promote, **as_payload(judgement)}
    with writing() as connection:
        once = _verdict_key(connection, judgement)
        judged = read_challenger(append(connection, definition.name, "verdict", evidence, at, once))
    if judged.version != version:
        # Another process has registered its model of the same run key first.
        client.delete_model_version(definition.name, str(version))
    tag_version(client, definition.name, judged.version, ENTRY, judged.verdict_id)
    tag_head(client, definition.name, judged.version)
    set_alias(client, definition.name, "challenger", judged.version)
    with_project(log, definition.name).info(
        "version %d is judged: %s", judged.version, summarize_verdict(judged.verdict)
    )
    return judged


def find_verdict(definition: Project, run_key: str) -> Challenger | None:
    """Finds the verdict of a run key.

    Args:
        definition: The project.
        run_key: The hash of everything that determines the model.

    Returns:
        The recorded challenger; `None` if the run key has no verdict.
    """
    judged = entry_once(definition.name, "verdict", run_key)
    return read_challenger(judged) if judged else None


def is_settled(challenger: Challenger) -> bool:
    """Tells whether nothing is left to do for a verdict.

    Args:
        challenger: The judged model, from `find_verdict`.

    Returns:
        Whether the model was rejected, promoted or refused, or was compared with a champion that no longer serves.
    """
    if not challenger.verdict.promote or was_refused(challenger):
        return True
    judgement, serving = read_judgement(challenger), current_champion(challenger.model.project)
    return judgement is None or judgement.generation != generation_of(serving)


def was_refused(challenger: Challenger) -> bool:
    """Tells whether a person has refused a model that passed the gate.

    Args:
        challenger: The judged model.

    Returns:
        Whether the ledger has a refusal.
    """
    answer = entry_once(challenger.model.project, "approval", str(challenger.verdict_id))
    return answer is not None and not answer.payload["approved"]


def lost_promotion_race(challenger: Challenger) -> bool:
    """Tells whether a model passed the gate, and another became champion before it could be promoted.

    Args:
        challenger: The judged model, from `find_verdict`.

    Returns:
        Whether it was not promoted, and can no longer be.
    """
    if not challenger.verdict.promote or was_refused(challenger) or not is_settled(challenger):
        return False
    return entry_once(challenger.model.project, "promotion", str(challenger.verdict_id)) is None


def _verdict_key(connection: Connection, judgement: Judgement) -> str:
    """Gives the unique key of a verdict: its run key, with the generation if it is judged again after a lost race."""
    key = judgement.model.run_key
    first = find_once(connection, judgement.model.project, "verdict", key)
    if first is None or from_payload(Judgement, first.payload).generation == judgement.generation:
        return key
    return f"{key} over {judgement.generation}"


DESCRIBED = "refit.described"
"""The tag with the hash of the description that Refit wrote; a description that a person has edited is kept."""

_MAX_DESCRIPTION = 5_000
"""The most characters of a description in MLflow's database."""


def update_registered_model(client: MlflowClient, definition: Project) -> None:
    """Creates the registered model of a project, or updates its description and tags.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
    """
    from mlflow.exceptions import MlflowException

    text, tags = _write_description(definition), _make_tags(definition)
    try:
        client.create_registered_model(definition.name, {**tags, DESCRIBED: _hash_text(text)}, text)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        _update_registered_model(client, definition.name, text, tags)


def find_version(client: MlflowClient, definition: Project, model: ModelRef) -> int | None:
    """Finds the version that a model was registered as.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
        model: The model.

    Returns:
        The number of the version; `None` if it is not registered.
    """
    found = client.search_model_versions(f"name = '{definition.name}' and run_id = '{model.run_id}'")
    return min((int(version.version) for version in found), default=None)


def create_version(client: MlflowClient, definition: Project, judgement: Judgement) -> int:
    """Registers a judged model as a version, with its verdict as the description.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        definition: The project.
        judgement: The model and its verdict.

    Returns:
        The number of the version.
    """
    update_registered_model(client, definition)
    model, page = judgement.serving, render_verdict(judgement)[:_MAX_DESCRIPTION]
    tags, stored = (
        _make_version_tags(judgement),
        logged_model_id(model),
    )  # a server requires the id of the source
    created = client.create_model_version(
        definition.name, model.uri, model.run_id, tags, description=page, model_id=stored
    )
    return int(created.version)


def register_files(model: ModelRef, judgement: Judgement) -> int:
    """Registers the files of a model once more, with the tags and the description of its verdict.

    Args:
        model: The model, whose files MLflow has.
        judgement: Its verdict.

    Returns:
        The number of the new version.
    """
    from mlflow.exceptions import MlflowException

    client = open_mlflow()
    try:
        client.create_registered_model(model.project)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    page, tags = render_verdict(judgement)[:_MAX_DESCRIPTION], _make_version_tags(judgement)
    stored = logged_model_id(model)
    created = client.create_model_version(
        model.project, model.uri, model.run_id, tags, description=page, model_id=stored
    )
    return int(created.version)


def _update_registered_model(client: MlflowClient, name: str, text: str, tags: dict[str, str]) -> None:
    standing = client.get_registered_model(name)
    said = standing.description or ""
    if said in ("", text) or _hash_text(said) == standing.tags.get(DESCRIBED):
        tags = {**tags, DESCRIBED: _hash_text(text)}
        if said != text:
            client.update_registered_model(name, text)
    for tag, value in tags.items():
        if standing.tags.get(tag) != value:
            client.set_registered_model_tag(name, tag, value)


def _make_version_tags(judgement: Judgement) -> dict[str, str]:
    """Makes the tags of a version; its ledger entry and its promotion are added later."""
    rows, compared = judgement.serving.trained_on, judgement.comparison
    return {
        **verdict_tags(judgement.verdict),
        **form_tags(judgement.form),
        "refit.metric": compared.metric,
        "refit.value": repr(compared.challenger.value),
        "refit.over": str(judgement.over.version) if judgement.over else "none",
        "refit.reason": judgement.reason[:MAX_TAG_LENGTH],
        "refit.run_key": judgement.model.run_key,
        "refit.fingerprint": rows.fingerprint,
        "refit.table_version": str(rows.version),
        "refit.trained_from": rows.window.start.isoformat(),
        "refit.trained_until": rows.window.end.isoformat(),
        **flow_run_tags(),
    }


def _write_description(definition: Project) -> str:
    file = f"the project file `{definition.file.name}`" if definition.file else "its project file"
    maintained = (
        f"Kind: {definition.kind}. Target: `{definition.target}`. Maintained by Refit from {file}: the alias "
        f"`champion` is the version that serves, `challenger` the one that was judged last."
    )
    return "\n\n".join(part for part in (definition.description, maintained) if part)[:_MAX_DESCRIPTION]


def _make_tags(definition: Project) -> dict[str, str]:
    return {"refit.project": definition.name, "refit.kind": definition.kind, "refit.target": definition.target}


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
