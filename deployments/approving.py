"""`refit approve`: a person's word on a promotion."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from deployments.output import Answer
from deployments.succession import champion_facts
from tasks.approve import settle_approval
from tasks.people import whoever
from tasks.telling import tell_approved


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
