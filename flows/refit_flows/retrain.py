"""The main job: from new rows to a judged challenger, and a champion if it is fit to serve."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import NamedTuple

from prefect import flow
from prefect.runtime import flow_run

from refit.errors import StaleChampion
from refit.gate.decide import decide
from refit.gate.evaluations import Judgement
from refit.gate.evidence import SandboxRun
from refit.monitoring.evidence import RetrainRequest
from refit.project import Project
from refit.records.references import Challenger, Champion, Ingestion, ModelRef, Split
from refit.results.flows import RetrainOutcome
from refit.windows import require_past
from refit_flows.parameters import EntryId, Instant, ProjectName, Words
from refit_tasks.catalog import find_project
from refit_tasks.decision.admission import retrain_slot
from refit_tasks.evaluation.evaluate import can_judge, evaluate
from refit_tasks.evaluation.serving_check import rehearse
from refit_tasks.evaluation.serving_runtime import choose_form
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_inbox import join_waiting
from refit_tasks.monitoring.drift import profile_reference
from refit_tasks.notifications.messages import tell_failure, tell_retrain
from refit_tasks.presentation.summaries import retrained
from refit_tasks.project_log import with_project
from refit_tasks.promotion.approve import ask_for_approval
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.register import register
from refit_tasks.registry.tracking import log_evaluation
from refit_tasks.registry.verdict_report import publish_verdict
from refit_tasks.reporting.model_card import publish_card
from refit_tasks.runs.audit_log import asked_by
from refit_tasks.runs.flow_runs import completed, fail_with_message, named_by_reason, skip_superseded_runs
from refit_tasks.runs.liveness import run_lock
from refit_tasks.storage.snapshots import split, take_snapshot
from refit_tasks.training.final_fit import final_fit
from refit_tasks.training.train import may_repeat, open_run_key, train
from refit_tasks.validation.contract import renew_contract
from refit_tasks.validation.contract_report import publish_contract

log = logging.getLogger(__name__)

RACES = 3
"""After so many lost races the retrain ends with `StaleChampion`: others are promoting all the time."""


@flow(name="retrain", flow_run_name=named_by_reason, on_failure=[tell_failure], on_crashed=[tell_failure])
@skip_superseded_runs
@fail_with_message
def retrain(
    project: ProjectName,
    as_of: Instant = None,
    reason: Words = "manual",
    force: bool = False,
    decision: EntryId | None = None,
) -> RetrainOutcome:
    """Trains a challenger on what is known, judges it, and promotes it if it is fit to serve.

    Args:
        project: The project's name.
        as_of: The instant to look from; nothing later is seen. Now, if left out.
        reason: Why this run was started, for the people who read the record.
        force: Train again even if nothing changed since the last verdict, and pass over the budget.
        decision: The ledger entry of the decision that started this run; by default a person did, and that is decided
            on and recorded first.

    Returns:
        What was done; a rejected challenger is an outcome like any other.

    Raises:
        RefitError: If the run, the rows, the model or the promotion are refused; nothing is promoted then.
    """
    now = datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    with_project(log, project).info("retraining as of %s, %s", until.isoformat(timespec="minutes"), reason)
    asked = RetrainRequest("manual", reason, force, asked_by())
    with run_lock("retrain", project), retrain_slot(definition, asked, until, decision) as turn:
        outcome = turn.outcome = _retrained(definition, turn.champion, until, now, _Asked(reason, force, decision))
    tell_retrain(definition, outcome)
    return completed(outcome, retrained(outcome))


class _Asked(NamedTuple):
    """What the run was asked for."""

    reason: str
    force: bool
    decision: int | None


def _retrained(
    definition: Project, serving: Champion | None, until: datetime, now: datetime, asked: _Asked
) -> RetrainOutcome:
    started = time.monotonic()
    champion = find_champion(definition, serving)
    if champion:
        renew_contract(definition, champion, now)
    ingestion = ingest(definition, until)
    join_waiting(definition, until)
    publish_contract(definition, ingestion)
    snapshot = take_snapshot(definition, until)
    parts = split(definition, snapshot, until, champion, again=may_repeat(definition, champion, asked.force))
    key = open_run_key(definition, parts, asked.force)
    model = train(definition, parts.train, key)
    rehearsal = rehearse(definition, model, parts.holdout)
    settled = _settled(definition, _Run(model, rehearsal, parts, ingestion, asked.reason, now), champion)
    if settled.promotion:
        renew_contract(definition, settled.promotion, now)
    publish_verdict(definition, settled.judgement, settled.challenger, asked.decision)
    return RetrainOutcome(
        project=definition.name,
        run_id=str(flow_run.id),
        as_of=until,
        snapshot=snapshot,
        ingestion=ingestion,
        challenger=settled.challenger,
        compared_with=settled.judgement.over,
        promotion=settled.promotion,
        seconds=time.monotonic() - started,
        judgement=settled.judgement,
        approval_run=settled.approval_run,
    )


class _Run(NamedTuple):
    """What one retrain has made and knows before it is judged."""

    model: ModelRef
    rehearsal: SandboxRun
    parts: Split
    ingestion: Ingestion
    reason: str
    now: datetime


class _Settled(NamedTuple):
    """A verdict and what came of it."""

    challenger: Challenger
    judgement: Judgement
    promotion: Champion | None
    approval_run: str | None


def _settled(definition: Project, run: _Run, champion: Champion | None) -> _Settled:
    """Judges and promotes; whoever loses a race is judged once more, against the new champion."""
    for races_left in reversed(range(RACES)):
        challenger, judgement = _judged(definition, run, champion)
        if not challenger.verdict.promote:
            return _Settled(challenger, judgement, None, None)
        if definition.gate.promotion == "approve":
            return _Settled(challenger, judgement, None, ask_for_approval(challenger))
        try:
            return _Settled(challenger, judgement, promote(challenger, champion, datetime.now(UTC)), None)
        except StaleChampion as lost:
            champion = find_champion(definition)
            if not races_left or not can_judge(champion, run.parts.holdout):
                raise
            with_project(log, definition.name).info("%s; judging once more", lost)
    raise AssertionError("the last race is won or lost")


def _judged(definition: Project, run: _Run, champion: Champion | None) -> tuple[Challenger, Judgement]:
    comparison = evaluate(definition, run.model, champion, run.parts.holdout, run.rehearsal)
    verdict = decide(comparison, definition.gate)
    log_evaluation(run.model, comparison, verdict)
    judged = Judgement(run.model, comparison, definition.gate, verdict, champion, run.ingestion, run.reason)
    judgement = choose_form(definition, final_fit(definition, judged, run.parts), run.parts.holdout)
    challenger = register(definition, judgement, run.now)
    profile_reference(definition, challenger, run.parts.holdout)
    publish_card(definition, challenger)
    return challenger, judgement
