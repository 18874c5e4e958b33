"""`refit retrain`: runs the flow in this process and words its outcome.

`refit approve`: a person's word on a promotion.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from prefect import tags
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from refit.errors import StateError
from refit.results.flows import RetrainOutcome
from refit_deployments.actions.champion import champion_facts
from refit_deployments.output import Result
from refit_flows.retrain import retrain
from refit_infra.settings import public_url
from refit_tasks.catalog import find_project
from refit_tasks.notifications.messages import tell_approved
from refit_tasks.promotion.approve import record_approval
from refit_tasks.runs.audit_log import ASKED_BY, current_user
from refit_tasks.runs.links import run_page

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


def retrain_here(project: str, as_of: datetime | None, reason: str, force: bool) -> Result:
    """Runs the retrain flow in this process.

    Args:
        project: The project's name.
        as_of: The instant to look from; now, if `None`.
        reason: Why, for the record.
        force: Whether to train again even if nothing changed.

    Returns:
        The outcome; a rejected challenger is one too.
    """
    find_project(project)  # a misspelt name should not wait for Prefect's start
    with tags(project):
        outcome = retrain(project, as_of=as_of, reason=reason, force=force)
    return Result(outcome.as_json(), describe(outcome))


def retrain_remotely(project: str, as_of: datetime | None, reason: str, force: bool) -> Result:
    """Starts the project's deployment `retrain/<project>`, and does not wait for it.

    Args:
        project: The project's name.
        as_of: The instant to look from; when it runs, if `None`.
        reason: Why, for the record.
        force: Whether to train again even if nothing changed.

    Returns:
        The run that was started.

    Raises:
        StateError: If no server is named, or it has no such deployment.
    """
    find_project(project)
    server, name = PREFECT_API_URL.value(), f"retrain/{project}"
    if not server:
        raise StateError("no Prefect server is running here or named in PREFECT_API_URL: start one by `refit up`")
    parameters = {"project": project, "as_of": as_of, "reason": reason, "force": force}
    try:
        who = [f"{ASKED_BY}{current_user()}"]
        run = cast("FlowRun", run_deployment(name, parameters=parameters, timeout=0, as_subflow=False, tags=who))
    except ObjectNotFound as error:
        raise StateError(
            f"the server at {public_url(server)} has no deployment {name}: `refit deploy` makes it"
        ) from error
    address = run_page(str(run.id))
    facts = {"project": project, "run_id": str(run.id), "url": address}
    return Result(facts, [f"{name} is started as run {run.id}", f"  watch it  {address}"])


def describe(outcome: RetrainOutcome) -> list[str]:
    """Words the outcome of a retrain.

    Args:
        outcome: What the flow did.

    Returns:
        Lines for a person.
    """
    challenger, verdict = outcome.challenger, outcome.challenger.verdict
    compared = f"champion version {outcome.compared_with.version}" if outcome.compared_with else "no champion yet"
    did = f"promoted, generation {outcome.generation}" if outcome.promotion else "rejected, nothing was promoted"
    if outcome.pending:
        did = f"waits for approval: refit approve {outcome.project} {challenger.version}"
    return [
        f"{outcome.project} as of {outcome.as_of:%Y-%m-%d %H:%M} UTC: version {challenger.version} {did}",
        f"  rows      {outcome.ingestion.rows_in:,} in, {outcome.ingestion.accepted:,} accepted, "
        f"{outcome.ingestion.quarantined:,} quarantined; {outcome.snapshot.rows:,} in the snapshot",
        f"  trained   on {challenger.model.trained_on.rows:,} rows of {challenger.model.trained_on.window}",
        f"  judged    against {compared}",
        *(f"  {'passed' if r.passed else 'FAILED'}    {r.check}: {r.sentence}" for r in verdict.reasons),
        *(f"  warning   {warning}" for warning in outcome.ingestion.warnings),
        f"  the story: refit why {challenger.verdict_id}   ({outcome.seconds:.1f} s)",
    ]


def approve_here(project: str, version: int, *, approved: bool, who: str | None, why: str) -> Result:
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
    person = who or current_user()
    champion = record_approval.fn(project, version, approved, person, why, datetime.now(UTC), current_user())
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
        return Result(facts, [f"{project}: version {version} is refused by {person}"])
    return Result(
        facts, [f"{project}: version {version} is approved by {person} and serves, generation {champion.generation}"]
    )
