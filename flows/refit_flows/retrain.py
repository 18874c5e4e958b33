"""The retrain flow: from new rows to a judged challenger, which is promoted if the gate passes it."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from refit.errors import StaleChampion
from refit.gate.decide import decide
from refit.gate.evaluations import Judgement
from refit.monitoring.evidence import RetrainRequest
from refit.project import Project
from refit.records.references import Challenger, Champion, SnapshotRef
from refit.results.flows import RetrainOutcome
from refit.windows import require_past
from refit_flows.parameters import EntryId, Instant, ProjectName, Words
from refit_tasks.catalog import find_project
from refit_tasks.decision.admission import retrain_slot
from refit_tasks.decision.matching_state import require_matching_state
from refit_tasks.evaluation.evaluate import check_serving_on_holdout, evaluate, find_rival, is_comparable_on
from refit_tasks.evaluation.serving_runtime import choose_serving_form
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_inbox import join_waiting_labels
from refit_tasks.ingestion.late_rows import find_late_rows
from refit_tasks.monitoring.drift import profile_reference
from refit_tasks.notifications.messages import notify_failure, notify_retrain
from refit_tasks.presentation.summaries import summarize_retrain
from refit_tasks.project_log import with_project
from refit_tasks.promotion.approve import ask_for_approval
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.register import register
from refit_tasks.registry.tracking import log_evaluation
from refit_tasks.registry.verdict_report import publish_verdict
from refit_tasks.reporting.model_card import publish_card
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, name_by_reason, skip_superseded_runs
from refit_tasks.runs.identity import find_run_requester
from refit_tasks.runs.liveness import run_lock
from refit_tasks.scratch import process_scratch
from refit_tasks.storage.snapshots import split, take_snapshot
from refit_tasks.training.final_fit import final_fit
from refit_tasks.training.train import may_reuse_holdout, open_run_key, train
from refit_tasks.validation.contract import renew_contract
from refit_tasks.validation.contract_report import publish_contract

log = logging.getLogger(__name__)

RACES = 3
"""The number of lost promotion races after which the retrain fails with `StaleChampion`."""


@flow(name="retrain", flow_run_name=name_by_reason, on_failure=[notify_failure], on_crashed=[notify_failure])
@skip_superseded_runs
@fail_with_message
def retrain(
    project: ProjectName,
    as_of: Instant = None,
    reason: Words = "manual",
    force: bool = False,
    decision: EntryId | None = None,
) -> RetrainOutcome:
    """Trains a challenger, judges it, and promotes it if it passes the gate.

    Args:
        project: The project's name.
        as_of: The time as of which data is seen; later rows are ignored. Now, if omitted.
        reason: Why this run was started, for the record.
        force: Train even if nothing changed since the last verdict, and ignore the budget.
        decision: The ledger entry of the decision that started this run; if omitted, the request is decided on and
            recorded first.

    Returns:
        The outcome; a rejected challenger is not an error.

    Raises:
        RefitError: If the run, the rows, the model or the promotion are refused; nothing is promoted then.
    """
    now = datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    require_matching_state(definition)
    with_project(log, project).info("retraining as of %s, %s", until.isoformat(timespec="minutes"), reason)
    request = RetrainRequest("manual", reason, force, find_run_requester())
    with (
        run_lock("retrain", project),
        process_scratch(project),
        retrain_slot(definition, request, until, decision) as turn,
    ):
        outcome = turn.outcome = _retrain(definition, request, decision, turn.champion, until, now)
    notify_retrain(definition, outcome)
    return complete_with_message(outcome, summarize_retrain(outcome))


def _retrain(
    definition: Project,
    request: RetrainRequest,
    decision: int | None,
    serving: Champion | None,
    until: datetime,
    now: datetime,
) -> RetrainOutcome:
    """Trains, judges and promotes; a challenger that loses a race is judged again, against the new champion."""
    started = time.monotonic()
    champion = find_champion(definition, serving, replacing=request.force)
    if champion:
        renew_contract(definition, champion, now)
    ingestion = find_late_rows(definition, ingest(definition, until))
    join_waiting_labels(definition, until)
    publish_contract(definition, ingestion)
    snapshot = take_snapshot(definition, until)
    parts = split(definition, snapshot, until, champion, again=may_reuse_holdout(definition, champion, request.force))
    model = train(definition, parts.train, open_run_key(definition, parts, request.force))
    sandbox_run = check_serving_on_holdout(definition, model, parts.holdout)
    rival = find_rival(definition, champion, replacing=request.force)
    for races_left in reversed(range(RACES)):
        comparison = evaluate(definition, model, rival, parts.holdout, sandbox_run)
        verdict = decide(comparison, definition.gate)
        log_evaluation(model, comparison, verdict)
        judged = Judgement(model, comparison, definition.gate, verdict, champion, ingestion, request.reason)
        judgement = choose_serving_form(definition, final_fit(definition, judged, parts), parts.holdout)
        challenger = _register(definition, judgement, parts.holdout, now)
        try:
            promotion = _promote(definition, challenger, champion)
            break
        except StaleChampion as lost:
            champion = rival = _find_winner(definition, parts.holdout, lost, races_left)
    approval_run = ask_for_approval(challenger) if challenger.verdict.promote and not promotion else None
    if promotion:
        renew_contract(definition, promotion, now)
    publish_verdict(definition, judgement, challenger, decision)
    return RetrainOutcome(
        project=definition.name,
        run_id=str(flow_run.id),
        as_of=until,
        snapshot=snapshot,
        ingestion=ingestion,
        challenger=challenger,
        compared_with=judgement.over,
        promotion=promotion,
        seconds=time.monotonic() - started,
        judgement=judgement,
        approval_run=approval_run,
    )


def _register(definition: Project, judgement: Judgement, holdout: SnapshotRef, now: datetime) -> Challenger:
    challenger = register(definition, judgement, now)
    profile_reference(definition, challenger, holdout)
    publish_card(definition, challenger)
    return challenger


def _promote(definition: Project, challenger: Challenger, champion: Champion | None) -> Champion | None:
    """Promotes a challenger, unless the gate rejected it or it needs an approval first."""
    if not challenger.verdict.promote or definition.gate.promotion == "approve":
        return None
    return promote(challenger, champion, datetime.now(UTC))


def _find_winner(definition: Project, holdout: SnapshotRef, lost: StaleChampion, races_left: int) -> Champion | None:
    """Finds the new champion, against which the challenger is judged again.

    Raises:
        StaleChampion: If no races are left, or that champion was trained on the holdout.
    """
    champion = find_champion(definition)
    if not races_left or not is_comparable_on(champion, holdout):
        raise lost
    with_project(log, definition.name).info("%s; judging again", lost)
    return champion
