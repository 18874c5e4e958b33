"""Registration: every judged model becomes one version, and its verdict one ledger entry, however often it is tried."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.gate.judgements import Judgement
from refit.project import Project
from refit.records.ledger import as_payload, from_payload
from refit.records.references import Challenger
from refit_tasks.ledger.generations import current_champion, generation_of
from refit_tasks.ledger.record import EVERY, entries, entry, entry_once, record
from refit_tasks.presentation.summaries import verdict_in_short
from refit_tasks.registry.alias import set_alias, tag_version
from refit_tasks.registry.challengers import recorded_challenger
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.mlflow_tags import ENTRY
from refit_tasks.registry.recipe import recipe_of
from refit_tasks.registry.registered_model import create_version, version_of
from refit_tasks.retries import not_ours

log = logging.getLogger(__name__)


@task(
    task_run_name="register a version of {definition.name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=1,
    retry_condition_fn=not_ours,
)
def register(definition: Project, judgement: Judgement, at: datetime) -> Challenger:
    """Makes a judged model a version of the registered model, and records its verdict with all the evidence.

    Each run key has one version and one verdict: what a killed run has left is found again and completed, and the
    recorded verdict stands, whatever is passed the second time.

    Args:
        definition: The project.
        judgement: The model, its verdict, and what the verdict rests on.
        at: When this happens, UTC.

    Returns:
        The challenger as it is on record.
    """
    client = open_mlflow()
    version = version_of(client, definition, judgement.serving) or create_version(client, definition, judgement)
    judgement = replace(judgement, recipe=recipe_of(judgement.serving))
    evidence = {"version": version, "promote": judgement.verdict.promote, **as_payload(judgement)}
    judged = recorded_challenger(record(definition.name, "verdict", evidence, at, once=_once(definition, judgement)))
    if judged.version != version:
        # Another process has registered its model of the same run key first.
        client.delete_model_version(definition.name, str(version))
    tag_version(client, definition.name, judged.version, ENTRY, judged.verdict_id)
    set_alias(client, definition.name, "challenger", judged.version)
    log.info("%s: version %d is judged: %s", definition.name, judged.version, verdict_in_short(judged.verdict))
    return judged


def find_verdict(definition: Project, run_key: str) -> Challenger | None:
    """Finds the model of a run key that has been judged.

    Args:
        definition: The project.
        run_key: The hash of all that determines the model.

    Returns:
        The challenger as it is on record, or `None` if that run key has no verdict.
    """
    judged = entry_once(definition.name, "verdict", run_key)
    return recorded_challenger(judged) if judged else None


def verdict_of_version(project: str, version: int) -> Challenger | None:
    """Finds the newest verdict on a version.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The challenger as it is on record, or `None` if the ledger has no verdict on it.
    """
    verdicts = entries(project, "verdict", newest=EVERY)
    return next((recorded_challenger(made) for made in verdicts if made.payload["version"] == version), None)


def judgement_of(challenger: Challenger) -> Judgement | None:
    """Reads what a verdict rests on.

    Args:
        challenger: A challenger that is on record.

    Returns:
        The judgement; `None` where the ledger does not hold its entry.
    """
    judged = entry(challenger.verdict_id)
    return from_payload(Judgement, judged.payload) if judged else None


def is_settled(challenger: Challenger) -> bool:
    """Tells whether a verdict has had its effect: nothing is left to do for it.

    Args:
        challenger: The judged model, from `find_verdict`.

    Returns:
        Whether it was rejected, promoted, refused by a person, or compared with a champion that serves no more.
    """
    if not challenger.verdict.promote or was_refused(challenger):
        return True
    judgement, serving = judgement_of(challenger), current_champion(challenger.model.project)
    return judgement is None or judgement.generation != generation_of(serving)


def was_refused(challenger: Challenger) -> bool:
    """Tells whether a person has refused a model that the gate found fit to serve.

    Args:
        challenger: The judged model.

    Returns:
        Whether such an answer is on record.
    """
    answer = entry_once(challenger.model.project, "approval", str(challenger.verdict_id))
    return answer is not None and not answer.payload["approved"]


def was_overtaken(challenger: Challenger) -> bool:
    """Tells whether a model was fit to serve, and another became champion before it could.

    Args:
        challenger: The judged model, from `find_verdict`.

    Returns:
        Whether its verdict, to promote, was never followed and cannot be any more.
    """
    if not challenger.verdict.promote or was_refused(challenger) or not is_settled(challenger):
        return False
    return entry_once(challenger.model.project, "promotion", str(challenger.verdict_id)) is None


def _once(definition: Project, judgement: Judgement) -> str:
    """Names the verdict: by its run key, and by the champion too where it lost a race and is compared once more."""
    key = judgement.model.run_key
    first = entry_once(definition.name, "verdict", key)
    if first is None or from_payload(Judgement, first.payload).generation == judgement.generation:
        return key
    return f"{key} over {judgement.generation}"
