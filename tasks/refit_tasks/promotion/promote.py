"""Promotion of a challenger: a compare-and-set in the ledger, then MLflow's alias."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import Connection

from refit.errors import NotApproved, PromotionError, StaleChampion
from refit.gate.evaluations import Judgement
from refit.records.ledger import as_payload, from_payload
from refit.records.references import Challenger, Champion
from refit_tasks.ledger.database import writing
from refit_tasks.ledger.generations import (
    champion_of,
    generation_of,
    generation_start,
    insert_generation,
    newest_champion,
)
from refit_tasks.ledger.transactions import find_entry, find_once
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.alias import follow_ledger
from refit_tasks.registry.challengers import read_challenger
from refit_tasks.registry.ledger_heads import tag_head
from refit_tasks.registry.mlflow_client import open_mlflow

log = logging.getLogger(__name__)


@define_retry_task("promote version {challenger.version} of {challenger.model.project}")
def promote(challenger: Challenger, over: Champion | None, at: datetime) -> Champion:
    """Makes a challenger the champion, but only over the champion it was compared with.

    One transaction inserts the next generation and the ledger entry; the alias is moved afterwards, by `find_champion`
    if a crash comes in between. Promoting again with the same verdict changes nothing.

    Args:
        challenger: The judged model.
        over: The champion it was compared with; `None` if there was none.
        at: The current time, UTC.

    Returns:
        The new champion.

    Raises:
        PromotionError: If the ledger holds no verdict that says to promote this challenger over that champion.
        NotApproved: If the project requires an approval, and none is on record.
        StaleChampion: If another challenger has been promoted since the comparison.
    """
    project = challenger.model.project
    with writing() as connection:
        judgement = _read_recorded_judgement(connection, challenger)
        serving = newest_champion(connection, project)
        champion = _find_promotion(connection, challenger, serving)
        if champion is None:
            _check_fence(challenger, {judgement.generation, generation_of(over)}, serving)
            check_approval(connection, challenger, judgement)
            champion = _insert(connection, challenger, serving, at)
            with_project(log, project).info(
                "version %d is champion, generation %d", champion.version, champion.generation
            )
    follow_ledger(project, champion)
    tag_head(open_mlflow(), project, champion.version)
    return champion


def _read_recorded_judgement(connection: Connection, challenger: Challenger) -> Judgement:
    """Reads the judgement from the ledger, so that the caller cannot choose what the challenger was compared with."""
    name = f"version {challenger.version} of {challenger.model.project} cannot be promoted"
    if not challenger.verdict.promote:
        raise PromotionError(f"{name}: its verdict is to {challenger.verdict}; retrain on newer rows")
    judged = find_entry(connection, challenger.verdict_id)
    if judged is None or as_payload(read_challenger(judged)) != as_payload(challenger):
        raise PromotionError(f"{name}: ledger entry {challenger.verdict_id} does not record its verdict; retrain")
    return from_payload(Judgement, judged.payload)


def _find_promotion(connection: Connection, challenger: Challenger, serving: Champion | None) -> Champion | None:
    promotion = find_once(connection, challenger.model.project, "promotion", str(challenger.verdict_id))
    return serving if promotion and champion_of(promotion) == serving else None


def _check_fence(challenger: Challenger, compared: set[int], serving: Champion | None) -> None:
    if compared == {generation_of(serving)}:
        return
    now = f"version {serving.version} serves (generation {serving.generation})" if serving else "there is no champion"
    raise StaleChampion(
        f"version {challenger.version} of {challenger.model.project} was compared with generation "
        f"{min(compared)}, but {now}: retrain, so that it is compared with the current champion"
    )


def check_approval(connection: Connection, challenger: Challenger, judgement: Judgement) -> None:
    """Rejects a version that a person has not approved, if the policy requires an approval.

    Args:
        connection: From `refit_tasks.ledger.database.writing`.
        challenger: The judged model.
        judgement: The judgement behind its verdict, with the policy.

    Raises:
        NotApproved: If the version waits for approval, or was refused.
    """
    if judgement.policy.promotion == "auto":
        return
    project, version = challenger.model.project, challenger.version
    answer = find_once(connection, project, "approval", str(challenger.verdict_id))
    if answer is None:
        raise NotApproved(
            f"version {version} of {project} waits for approval: approve it with `refit approve {project} {version}`"
        )
    if not answer.payload["approved"]:
        raise NotApproved(
            f"version {version} of {project} was refused by {answer.payload['who']}: retrain for a new version"
        )


def _insert(connection: Connection, challenger: Challenger, former: Champion | None, at: datetime) -> Champion:
    generation = generation_of(former) + 1
    champion = Champion(
        challenger.model, challenger.version, generation, generation_start(at, former), challenger.judged
    )
    facts = {"verdict_id": challenger.verdict_id}
    insert_generation(connection, "promotion", champion, former, facts, once=str(challenger.verdict_id))
    return champion
