"""`refit approve`: a person's word on a promotion."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from refit_deployments.actions.champion import champion_facts
from refit_deployments.output import Answer
from refit_tasks.notifications.messages import tell_approved
from refit_tasks.promotion.approve import settle_approval
from refit_tasks.runs.people import whoever


def approve_here(project: str, version: int, *, approved: bool, who: str | None, why: str) -> Answer:
    """Records an answer, and promotes the version through the fence if it is yes.

    Args:
        project: The project's name.
        version: The version that waits.
        approved: Whether it may serve.
        who: The person; whoever is logged in, if `None`.
        why: Their reason.

    Returns:
        What came of it.
    """
    person = who or whoever()
    champion = settle_approval.fn(project, version, approved, person, why, datetime.now(UTC), whoever())
    if os.environ.get("PREFECT_API_URL"):  # else the next monitor run tells it, where there is a server to ask
        tell_approved(project, champion)
    facts = {
        "project": project,
        "version": version,
        "approved": approved,
        "who": person,
        "champion": champion_facts(champion) if champion else None,
    }
    if champion is None:
        return Answer(facts, [f"{project}: version {version} is refused by {person}"])
    return Answer(
        facts, [f"{project}: version {version} is approved by {person} and serves, generation {champion.generation}"]
    )
