"""Approval of a promotion by a person, and the request for one. An approved version is promoted by compare-and-set."""

from __future__ import annotations

import logging
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
from refit_tasks.runs.identity import PREFECT_FORM

log = logging.getLogger(__name__)


@define_task("settle the approval of version {version} of {project}")
def record_approval(
    project: str,
    version: int,
    approved: bool,
    who: str,
    why: str,
    at: datetime,
    account: str = "",
    vouched: str = PREFECT_FORM,
) -> Champion | None:
    """Records an approval or a refusal, and promotes an approved version.

    The first answer is final. Repeating it completes what a crash has interrupted.

    Args:
        project: The project's name.
        version: The number of the pending version.
        approved: Whether the version may serve.
        who: The name of the person who answers.
        why: Their reason.
        at: The current time, UTC.
        account: The account of the person who answers, by the operating system; empty in Prefect's form.
        vouched: What vouches for that person.

    Returns:
        The new champion; `None` after a refusal.

    Raises:
        NotApproved: If the policy requires a different person, the version is not pending, or another answer is on
            record.
        StaleChampion: If the champion is not the one that the version was compared with.
    """
    challenger = find_pending_version(project, version)
    if approved:
        require_different_approver(challenger, who, account)
    compared, serving = require_judgement(challenger), current_champion(project)
    facts = {
        "verdict_id": challenger.verdict_id,
        "version": version,
        "approved": approved,
        "who": who,
        "why": why,
        "vouched": vouched,
        "compared": compared.generation,
        "serving": generation_of(serving),
    }
    answer = record(project, "approval", facts, at, once=str(challenger.verdict_id))
    if answer.payload["approved"] != approved:
        recorded = "approved" if answer.payload["approved"] else "refused"
        raise NotApproved(
            f"version {version} of {project} was {recorded} by {answer.payload['who']}: that answer is final"
        )
    with_project(log, project).info("version %d is %s by %s", version, "approved" if approved else "refused", who)
    return promote.fn(challenger, compared.over, at) if approved else None


def require_different_approver(challenger: Challenger, who: str, account: str) -> None:
    """Rejects an approval by the person who requested the retrain, if the policy has `four_eyes`.

    Args:
        challenger: The pending version.
        who: The name that the approver gives.
        account: The approver's account; empty if nothing vouches for one.

    Raises:
        NotApproved: If one of both is the requester, or a person requested the retrain and no account is known.
    """
    requester = find_retrain_requester(challenger) if require_judgement(challenger).policy.four_eyes else ""
    project, version = challenger.model.project, challenger.version
    if requester and requester in (who, account):
        raise NotApproved(
            f"{requester} requested the retrain of version {version} of {project}, and gate.four_eyes requires a "
            f"different person to approve it: ask a colleague, or refuse it"
        )
    if requester and not account:
        raise NotApproved(
            f"{requester} requested the retrain of version {version} of {project}, gate.four_eyes requires a different "
            f"person to approve it, and Prefect's form does not vouch for the name that is typed: run `refit approve "
            f"{project} {version}` under another account"
        )


def find_retrain_requester(challenger: Challenger) -> str:
    """Finds the person who requested the retrain that produced a version.

    Args:
        challenger: The version.

    Returns:
        The person's name; empty if no person requested it, or the name is not on record.
    """
    project = challenger.model.project
    retrains = (from_payload(RetrainRecord, made.payload) for made in entries(project, "retrain", newest=ALL_ENTRIES))
    decision = next((one.decision for one in retrains if one.verdict == challenger.verdict_id), None)
    made = entry(decision) if decision is not None else None
    request = from_payload(DecisionRecord, made.payload).evidence.request if made else None
    return request.who if request else ""


def find_pending_version(project: str, version: int) -> Challenger:
    """Finds a version that waits for approval.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The challenger as recorded.

    Raises:
        NotApproved: If there is no such version, the gate rejected it, or the project needs no approval.
    """
    challenger = find_verdict_of_version(project, version)
    if challenger is None:
        known = ", ".join(str(one.version) for one in find_pending(project)) or "none"
        raise NotApproved(f"{project} has no judged version {version}: versions that wait for approval: {known}")
    if not challenger.verdict.promote:
        raise NotApproved(f"version {version} of {project} was rejected by the gate: retrain instead of approving it")
    if require_judgement(challenger).policy.promotion == "auto":
        raise NotApproved(f"version {version} of {project} needs no approval: gate.promotion is 'auto'")
    return challenger


def require_judgement(challenger: Challenger) -> Judgement:
    """Reads the judgement behind a challenger's verdict.

    Args:
        challenger: A recorded challenger.

    Returns:
        The judgement.

    Raises:
        NotApproved: If the ledger no longer holds it.
    """
    judgement = read_judgement(challenger)
    if judgement is None:
        raise NotApproved(f"the ledger has no entry {challenger.verdict_id}: restore its database from a backup")
    return judgement


@define_task("ask for approval of version {challenger.version}")
def ask_for_approval(challenger: Challenger) -> str | None:
    """Starts the project's deployment `approve/<project>`, which is suspended until a person fills in its form.

    Args:
        challenger: The pending challenger.

    Returns:
        The id of the flow run; `None` if the retrain does not run as a deployment, or no approval deployment exists.
    """
    if not deployment.id:
        return None
    name = f"approve/{challenger.model.project}"
    parameters = {"project": challenger.model.project, "version": challenger.version}
    # A new ledger may reuse entry ids that Prefect still knows as keys; the id of a training run is unique.
    key = f"{name}:{challenger.verdict_id}:{challenger.model.run_id}"
    try:
        run = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)
    except ObjectNotFound:
        with_project(log, challenger.model.project).info("there is no deployment %s: use `refit approve`", name)
        return None
    return str(cast("FlowRun", run).id)
