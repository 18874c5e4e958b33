"""The promotion: a compare-and-set in the ledger, then the alias."""

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

log = logging.getLogger(__name__)


@define_retry_task("promote version {challenger.version} of {challenger.model.project}")
def promote(challenger: Challenger, over: Champion | None, at: datetime) -> Champion:
    """Makes a challenger the champion, but only over the champion it was compared with.

    One transaction inserts the next generation and the ledger entry; the alias comes after it, and `find_champion` sets
    it where a crash came in between. Promoting once more through the same verdict changes nothing.

    Args:
        challenger: The judged model.
        over: The champion it was compared with; `None` if there was none.
        at: When this happens, UTC.

    Returns:
        The new champion.

    Raises:
        PromotionError: If the ledger holds no verdict that says to promote this challenger over that champion.
        NotApproved: If the project asks for a person's approval, and there is none on record.
        StaleChampion: If another challenger has become champion since the comparison.
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
    return champion


def _read_recorded_judgement(connection: Connection, challenger: Challenger) -> Judgement:
    """Reads from the ledger, not from the caller, what the challenger was compared with."""
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
    now = f"version {serving.version} serves (generation {serving.generation})" if serving else "nothing serves"
    raise StaleChampion(
        f"version {challenger.version} of {challenger.model.project} was compared with generation "
        f"{min(compared)}, but {now}: retrain, so that it is compared with what serves"
    )


def check_approval(connection: Connection, challenger: Challenger, judgement: Judgement) -> None:
    """Refuses what waits for a person, or what a person has refused.

    Args:
        connection: From `refit_tasks.ledger.database.writing`.
        challenger: The judged model.
        judgement: What its verdict rests on, with the policy.

    Raises:
        NotApproved: If the policy asks for an approval, and there is none on record.
    """
    if judgement.policy.promotion == "auto":
        return
    project, version = challenger.model.project, challenger.version
    answer = find_once(connection, project, "approval", str(challenger.verdict_id))
    if answer is None:
        raise NotApproved(
            f"version {version} of {project} waits for a person: approve it with `refit approve {project} {version}`"
        )
    if not answer.payload["approved"]:
        raise NotApproved(
            f"version {version} of {project} was refused by {answer.payload['who']}: retrain, and ask again"
        )


def _insert(connection: Connection, challenger: Challenger, former: Champion | None, at: datetime) -> Champion:
    generation = generation_of(former) + 1
    champion = Champion(
        challenger.model, challenger.version, generation, generation_start(at, former), challenger.judged
    )
    facts = {"verdict_id": challenger.verdict_id}
    insert_generation(connection, "promotion", champion, former, facts, once=str(challenger.verdict_id))
    return champion
