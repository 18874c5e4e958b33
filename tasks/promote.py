"""The promotion: a compare-and-set in the ledger, then the alias."""

from __future__ import annotations

import logging
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection, insert

from refit.errors import PromotionError, StaleChampion
from refit.judgements import Judgement
from refit.ledger import as_payload, from_payload
from refit.models import Challenger, Champion
from refit.windows import as_utc
from tasks.champion import follow_ledger, newest_champion
from tasks.ledger import entry
from tasks.ledger_database import champions, writing
from tasks.ledger_rows import append, find_once
from tasks.register import recorded_challenger
from tasks.retries import not_ours

log = logging.getLogger(__name__)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=1, retry_condition_fn=not_ours)
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
        StaleChampion: If another challenger has become champion since the comparison.
    """
    project, compared = challenger.model.project, _compared_generation(challenger)
    with writing() as connection:
        serving = newest_champion(connection, project)
        champion = _promoted_already(connection, challenger, serving)
        if champion is None:
            _check_fence(challenger, {compared, _generation(over)}, serving)
            champion = _insert(connection, challenger, serving, at)
            log.info("%s: version %d is champion, generation %d", project, champion.version, champion.generation)
    follow_ledger(project)
    return champion


def _compared_generation(challenger: Challenger) -> int:
    """Reads from the ledger, not from the caller, what the challenger was compared with."""
    name = f"version {challenger.version} of {challenger.model.project} cannot be promoted"
    if not challenger.verdict.promote:
        raise PromotionError(f"{name}: its verdict is to {challenger.verdict}; retrain on newer rows")
    judged = entry(challenger.verdict_id)
    if judged is None or as_payload(recorded_challenger(judged)) != as_payload(challenger):
        raise PromotionError(f"{name}: ledger entry {challenger.verdict_id} does not record its verdict; retrain")
    return from_payload(Judgement, judged.payload).generation


def _promoted_already(connection: Connection, challenger: Challenger, serving: Champion | None) -> Champion | None:
    promotion = find_once(connection, challenger.model.project, "promotion", str(challenger.verdict_id))
    return serving if promotion and from_payload(Champion, promotion.payload["champion"]) == serving else None


def _check_fence(challenger: Challenger, compared: set[int], serving: Champion | None) -> None:
    if compared == {_generation(serving)}:
        return
    now = f"version {serving.version} serves (generation {serving.generation})" if serving else "nothing serves"
    raise StaleChampion(
        f"version {challenger.version} of {challenger.model.project} was compared with generation "
        f"{min(compared)}, but {now}: retrain, so that it is compared with what serves"
    )


def _insert(connection: Connection, challenger: Challenger, former: Champion | None, at: datetime) -> Champion:
    project, version, generation = challenger.model.project, challenger.version, _generation(former) + 1
    champion = Champion(challenger.model, version, generation, as_utc(at), challenger.judged)
    payload = as_payload({"champion": champion, "former": former, "verdict_id": challenger.verdict_id})
    promotion = append(connection, project, "promotion", payload, at, once=str(challenger.verdict_id))
    row = {"project": project, "generation": generation, "version": version, "ledger_id": promotion.id}
    connection.execute(insert(champions).values(row))
    return champion


def _generation(champion: Champion | None) -> int:
    return champion.generation if champion else 0
