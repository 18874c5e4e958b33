"""The champion at the beginning of a flow: the ledger decides who serves, whoever has moved the alias."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.ledger import as_payload
from refit.models import Champion
from refit.project import Project
from tasks.alias import follow_ledger, moved_to
from tasks.ledger import record
from tasks.ledger_database import writing
from tasks.register import verdict_of_version
from tasks.retries import not_ours
from tasks.succession import current_champion, enthrone, generation_of, newest_champion

log = logging.getLogger(__name__)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=1, retry_condition_fn=not_ours)
def find_champion(definition: Project) -> Champion | None:
    """Finds the version that serves, and brings MLflow's alias and the ledger together again.

    Where a crash left the alias behind, it follows. Where a person has moved it, that is recorded, and the project's
    policy says whether it is put back, or that version made champion, if a verdict has allowed it.

    Args:
        definition: The project.

    Returns:
        The champion by the ledger, or `None` while there is none.

    Raises:
        StateError: If the ledger cannot be read, or MLflow no longer has the champion's version.
    """
    serving = current_champion(definition.name)
    if serving is None:
        return None
    found = moved_to(definition.name, serving)
    if found is not None:
        _reconcile(definition, serving, found, datetime.now(UTC))
    return follow_ledger(definition.name)


def _reconcile(definition: Project, serving: Champion, found: int, at: datetime) -> None:
    adopted = definition.gate.moved_alias == "adopt" and _adopt(definition.name, serving, found, at)
    action = "adopted" if adopted else "restored"
    facts = {"found": found, "expected": serving.version, "generation": serving.generation, "action": action}
    record(definition.name, "alias", as_payload(facts), at)
    log.warning(
        "%s: somebody moved MLflow's alias champion from version %d to %s: %s",
        definition.name,
        serving.version,
        f"version {found}" if found else "nothing",
        action,
    )


def _adopt(project: str, serving: Champion, version: int, at: datetime) -> bool:
    """Makes the version that a person chose champion, if a verdict has ever allowed it and nobody was faster."""
    chosen = verdict_of_version(project, version)
    if chosen is None or not chosen.verdict.promote:
        return False
    with writing() as connection:
        now = newest_champion(connection, project)
        if generation_of(now) != serving.generation:
            return False
        champion = Champion(chosen.model, version, serving.generation + 1, at, chosen.judged)
        facts = {"verdict_id": chosen.verdict_id, "by": "alias"}
        enthrone(connection, "promotion", champion, now, facts, once=f"alias {champion.generation}")
    return True
