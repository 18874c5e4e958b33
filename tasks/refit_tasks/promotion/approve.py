"""A person's word on a promotion, and what it brings about. It goes through the fence again."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from typing import cast

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment

from refit.errors import NotApproved
from refit.gate.evaluations import Judgement
from refit.monitoring.decide import DecisionRecord, RetrainRecord
from refit.records.ledger import from_payload
from refit.records.references import Challenger, Champion
from refit_tasks.ledger.generations import current_champion, generation_of
from refit_tasks.ledger.record import ALL_ENTRIES, entries, entry, record
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.challengers import find_pending, find_verdict_of_version, read_judgement

log = logging.getLogger(__name__)


@define_task("settle the approval of version {version} of {project}")
def record_approval(
    project: str, version: int, approved: bool, who: str, why: str, at: datetime, login: str = ""
) -> Champion | None:
    """Records a person's answer, and promotes the version if it is yes.

    The first answer stands. Giving the same one again goes on with what a crash has left undone.

    Args:
        project: The project's name.
        version: The version that waits.
        approved: Whether it may serve.
        who: The person.
        why: Their reason.
        at: When this happens, UTC.
        login: Whoever is logged in where they say so, as far as that is known.

    Returns:
        The new champion; `None` after a refusal.

    Raises:
        NotApproved: If the policy asks for another person than this one, that version does not wait for anybody, or
            another answer is on record.
        StaleChampion: If another champion serves than the one it was compared with.
    """
    challenger = find_pending_version(project, version)
    if approved:
        require_different_approver(challenger, {who, login})
    compared, serving = require_judgement(challenger), current_champion(project)
    facts = {
        "verdict_id": challenger.verdict_id,
        "version": version,
        "approved": approved,
        "who": who,
        "why": why,
        "compared": compared.generation,
        "serving": generation_of(serving),
    }
    answer = record(project, "approval", facts, at, once=str(challenger.verdict_id))
    if answer.payload["approved"] != approved:
        said = "approved" if answer.payload["approved"] else "refused"
        raise NotApproved(f"version {version} of {project} was {said} by {answer.payload['who']}: that answer stands")
    with_project(log, project).info("version %d is %s by %s", version, "approved" if approved else "refused", who)
    return promote.fn(challenger, compared.over, at) if approved else None


def require_different_approver(challenger: Challenger, people: Collection[str]) -> None:
    """Insists that somebody else approves than the person who asked for the retrain, where the policy does.

    Args:
        challenger: The version that waits.
        people: The names of the person who approves.

    Raises:
        NotApproved: If one of them is that person's.
    """
    asked = find_retrain_requester(challenger) if require_judgement(challenger).policy.four_eyes else ""
    if asked and asked in people:
        raise NotApproved(
            f"{asked} asked for the retrain of version {challenger.version} of {challenger.model.project}, and "
            f"gate.four_eyes wants somebody else to approve it: ask a colleague, or refuse it"
        )


def find_retrain_requester(challenger: Challenger) -> str:
    """Finds the person who asked for the retrain that made a version.

    Args:
        challenger: The version.

    Returns:
        Their name; nothing where nobody in person did, or that is not on record.
    """
    project = challenger.model.project
    retrains = (from_payload(RetrainRecord, made.payload) for made in entries(project, "retrain", newest=ALL_ENTRIES))
    decision = next((one.decision for one in retrains if one.verdict == challenger.verdict_id), None)
    made = entry(decision) if decision is not None else None
    request = from_payload(DecisionRecord, made.payload).evidence.request if made else None
    return request.who if request else ""


def find_pending_version(project: str, version: int) -> Challenger:
    """Finds a version whose promotion is a person's to decide.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The challenger as it is on record.

    Raises:
        NotApproved: If the gate has rejected it, or the project asks nobody.
    """
    challenger = find_verdict_of_version(project, version)
    if challenger is None:
        known = ", ".join(str(one.version) for one in find_pending(project)) or "none"
        raise NotApproved(f"{project} has no judged version {version}: versions that wait for approval are {known}")
    if not challenger.verdict.promote:
        raise NotApproved(f"version {version} of {project} was rejected by the gate: retrain instead of approving it")
    if require_judgement(challenger).policy.promotion == "auto":
        raise NotApproved(f"version {version} of {project} needs no approval: its gate promotes by itself")
    return challenger


def require_judgement(challenger: Challenger) -> Judgement:
    """Reads what a verdict rests on that waits for a person.

    Args:
        challenger: A challenger that is on record.

    Returns:
        The judgement.

    Raises:
        NotApproved: If the ledger does not hold it any more.
    """
    judgement = read_judgement(challenger)
    if judgement is None:
        raise NotApproved(f"the ledger has no entry {challenger.verdict_id}: restore its database from a backup")
    return judgement


@define_task("ask for approval of version {challenger.version}")
def ask_for_approval(challenger: Challenger) -> str | None:
    """Starts the project's deployment `approve/<project>`, which waits, suspended, for a person to fill in its form.

    Args:
        challenger: The challenger that waits.

    Returns:
        The id of the flow run; `None` where the retrain does not run as a deployment, or there is none for approvals.
    """
    if not deployment.id:
        return None
    name = f"approve/{challenger.model.project}"
    parameters = {"project": challenger.model.project, "version": challenger.version}
    # The ledger may begin anew while Prefect's keys stay: the training run's id is never given twice.
    key = f"{name}:{challenger.verdict_id}:{challenger.model.run_id}"
    try:
        run = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)
    except ObjectNotFound:
        with_project(log, challenger.model.project).info("there is no deployment %s: use `refit approve`", name)
        return None
    return str(cast("FlowRun", run).id)
