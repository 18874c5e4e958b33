"""`refit retrain`, `refit approve` and `refit reproduce`: run the flow in this process and describe its outcome."""

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
from refit.windows import format_time, format_window
from refit_deployments.actions.champion import champion_facts
from refit_deployments.output import Result
from refit_flows.retrain import retrain
from refit_infra.settings import public_url
from refit_tasks.catalog import find_project
from refit_tasks.notifications.messages import notify_approval
from refit_tasks.promotion.approve import record_approval
from refit_tasks.runs.identity import REQUESTER_TAG, current_user, describe_voucher
from refit_tasks.runs.links import flow_run_url

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


def run_retrain(project: str, as_of: datetime | None, reason: str, force: bool) -> Result:
    """Runs the retrain flow in this process.

    Args:
        project: The project's name.
        as_of: The time up to which rows are used; now, if `None`.
        reason: The reason, for the ledger.
        force: Whether to train even if there is no new data.

    Returns:
        The outcome; a rejected challenger is one, too.
    """
    find_project(project)  # reports a misspelt name before Prefect starts
    with tags(project):
        outcome = retrain(project, as_of=as_of, reason=reason, force=force)
    return Result(outcome.as_json(), describe_retrain(outcome))


def start_deployment(project: str, as_of: datetime | None, reason: str, force: bool) -> Result:
    """Starts the deployment `retrain/<project>` and does not wait for its end.

    Args:
        project: The project's name.
        as_of: The time up to which rows are used; the start of the run, if `None`.
        reason: The reason, for the ledger.
        force: Whether to train even if there is no new data.

    Returns:
        The started run.

    Raises:
        StateError: If there is no server, or it does not have the deployment.
    """
    find_project(project)
    server, name = PREFECT_API_URL.value(), f"retrain/{project}"
    if not server:
        raise StateError("there is no Prefect server: start one with `refit up`, or set PREFECT_API_URL")
    parameters = {"project": project, "as_of": as_of, "reason": reason, "force": force}
    try:
        who = [f"{REQUESTER_TAG}{current_user()}"]
        run = cast("FlowRun", run_deployment(name, parameters=parameters, timeout=0, as_subflow=False, tags=who))
    except ObjectNotFound as error:
        raise StateError(f"the server at {public_url(server)} has no deployment {name}: run `refit deploy`") from error
    address = flow_run_url(str(run.id))
    facts = {"project": project, "run_id": str(run.id), "url": address}
    return Result(facts, [f"{name} started as run {run.id}", f"  page  {address}"])


def describe_retrain(outcome: RetrainOutcome) -> list[str]:
    """Describes the outcome of a retrain.

    Args:
        outcome: The outcome of the flow.

    Returns:
        Lines for people.
    """
    challenger, verdict = outcome.challenger, outcome.challenger.verdict
    trained_on = challenger.model.trained_on
    compared = f"champion version {outcome.compared_with.version}" if outcome.compared_with else "no champion yet"
    if outcome.compared_with and outcome.judgement and not outcome.judgement.comparison.champion:
        compared = f"a trivial model: the files of {compared} are lost"
    did = f"promoted, generation {outcome.generation}" if outcome.promotion else "rejected"
    if outcome.pending:
        did = f"waits for approval: refit approve {outcome.project} {challenger.version}"
    return [
        f"{outcome.project} as of {format_time(outcome.as_of)} UTC: version {challenger.version} {did}",
        f"  rows      {outcome.ingestion.rows_in:,} in, {outcome.ingestion.accepted:,} accepted, "
        f"{outcome.ingestion.left_out}; {outcome.snapshot.rows:,} in the snapshot",
        f"  trained   on {trained_on.rows:,} rows, {format_window(trained_on.window)}",
        f"  judged    against {compared}",
        *(f"  {'passed' if r.passed else 'FAILED'}    {r.check}: {r.sentence}" for r in verdict.reasons),
        *(f"  warning   {warning}" for warning in outcome.ingestion.warnings),
        *([f"  late      {late.describe(outcome.project)}"] if (late := outcome.ingestion.late) else []),
        f"  details   refit why {challenger.verdict_id}   ({outcome.seconds:.1f} s)",
    ]


def approve_version(project: str, version: int, *, approved: bool, who: str | None, why: str) -> Result:
    """Records an approval or refusal, and promotes an approved version if its champion still serves.

    Args:
        project: The project's name.
        version: The version that waits for approval.
        approved: Whether it is approved.
        who: The approver's name as it is to be recorded; the account's, if `None`.
        why: The reason, for the ledger.

    Returns:
        The answer, and the champion where it was promoted.
    """
    account, now = current_user(), datetime.now(UTC)
    person, vouched = who or account, describe_voucher()
    champion = record_approval.fn(project, version, approved, person, why, now, account, vouched)
    if os.environ.get("PREFECT_API_URL"):  # else the next monitor run notifies, where there is a server
        notify_approval(project, champion)
    facts = {
        "project": project,
        "version": version,
        "approved": approved,
        "who": person,
        "vouched": vouched,
        "champion": champion_facts(champion) if champion else None,
    }
    if champion is None:
        return Result(facts, [f"{project}: version {version} refused by {person}"])
    return Result(
        facts, [f"{project}: version {version} approved by {person} and promoted, generation {champion.generation}"]
    )


def reproduce_version(project: str, version: int) -> Result:
    """Runs the reproduce flow in this process.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The comparison; a version that differs is an outcome, too.
    """
    from refit_flows.reproduce import reproduce

    find_project(project)  # reports a misspelt name before Prefect starts
    found = reproduce(project, version)
    outcome = "reproduced" if found.reproduced else "NOT reproduced"
    measured = "no predictions to compare" if found.difference is None else f"largest difference {found.difference:.3g}"
    lines = [
        f"{project} version {version}: {outcome}, with {found.used_code} code; {measured} on {found.rows:,} rows",
        *(f"  {one.what:<8}  recorded {one.recorded}; now {one.now}" for one in found.causes or found.differs),
    ]
    return Result(found.as_json(), lines)
