"""The watch: judges the production window against the champion's reference, and decides what follows."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from prefect import flow, tags

from refit.monitoring.evidence import Evidence
from refit.project import Project
from refit.records.references import Champion
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit.windows import require_past
from refit_flows.parameters import Instant, ProjectName, Words
from refit_flows.retrain import retrain
from refit_tasks.catalog import find_project
from refit_tasks.decision.decide import RecordedDecision, decide_and_record
from refit_tasks.decision.lock import claim_killed_retrain
from refit_tasks.decision.trigger import build_parameters, emit_decision_event, start_deployment
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_inbox import join_waiting_labels
from refit_tasks.maintenance.doctor import mark_killed_runs
from refit_tasks.monitoring.evidence import find_unchanged_decision, measure_evidence, read_current_state
from refit_tasks.monitoring.monitor_report import publish_monitor
from refit_tasks.notifications.messages import notify_failure, notify_monitor
from refit_tasks.prediction.compare import publish_challenger
from refit_tasks.presentation.summaries import summarize_monitor
from refit_tasks.project_log import with_project
from refit_tasks.promotion.champion import find_champion, rollback_if_worse
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, name_by_event, skip_superseded_runs
from refit_tasks.runs.links import publish_run_link
from refit_tasks.runs.liveness import run_lock
from refit_tasks.validation.contract_report import publish_contract

log = logging.getLogger(__name__)


@flow(name="monitor", flow_run_name=name_by_event, on_failure=[notify_failure], on_crashed=[notify_failure])
@skip_superseded_runs
@fail_with_message
def monitor(project: ProjectName, as_of: Instant = None, event: Words | None = None) -> MonitorOutcome:
    """Decides whether the champion should be retrained, whether a person should look, or neither.

    A retrain that was decided on and killed on this machine is gone on with first, once; nothing else is decided then.

    Args:
        project: The project's name.
        as_of: The instant to look from; nothing later is seen. Now, if left out.
        event: An event from outside that asks for a retrain, in words.

    Returns:
        The evidence, the decision, and the retrain if one followed.

    Raises:
        RefitError: If the rows are refused, or a retrain that follows is.
    """
    now = datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    with_project(log, project).info("monitoring as of %s", until.isoformat(timespec="minutes"))
    with run_lock("monitor", project) as run:
        outcome = _monitored(definition, until, now, event, run)
    notify_monitor(definition, outcome)
    return complete_with_message(outcome, summarize_monitor(outcome))


def _monitored(
    definition: Project, until: datetime, now: datetime, event: str | None, run: str | None
) -> MonitorOutcome:
    started = time.monotonic()
    champion = find_champion(definition)
    ingestion = ingest(definition, until)
    join_waiting_labels(definition, until)
    if ingestion.rows_in:
        publish_contract(definition, ingestion)
    left = claim_killed_retrain(definition, until)
    if left:
        mark_killed_runs()  # the slot that the killed run holds in Prefect would have the next one cancelled
    evidence, recorded, nothing_new = (*left, False) if left else _judged(definition, champion, until, now, event, run)
    publish_challenger(definition, champion, until)
    rolled_back = (
        rollback_if_worse(definition, evidence, recorded, now) if recorded.decision.trigger == "watch" else None
    )
    run_id, outcome = None, None
    if recorded.decision.action == "retrain":
        run_id, outcome = _retrained(evidence, build_parameters(evidence, recorded, gone_on=left is not None))
    return MonitorOutcome(
        evidence=evidence,
        ingestion=ingestion,
        champion=champion,
        decision_id=recorded.id,
        decision=recorded.decision,
        nothing_new=nothing_new,
        retrain=outcome,
        started_run=run_id,
        rolled_back=rolled_back,
        seconds=time.monotonic() - started,
    )


def _judged(
    definition: Project, champion: Champion | None, until: datetime, now: datetime, event: str | None, run: str | None
) -> tuple[Evidence, RecordedDecision, bool]:
    current = read_current_state(definition, champion, until, event)
    known = find_unchanged_decision(definition, current)
    evidence = known[0] if known else measure_evidence(definition, champion, current)
    recorded = decide_and_record(definition, evidence, now, turn=run, unless=known[1] if known else None)
    nothing_new = known is not None and recorded == known[1]
    if not nothing_new:
        publish_monitor(definition, evidence, recorded, champion)
        emit_decision_event(evidence, recorded)
    return evidence, recorded, nothing_new


def _retrained(evidence: Evidence, parameters: dict[str, Any]) -> tuple[str, RetrainOutcome | None]:
    run_id, outcome = start_deployment(evidence, parameters), None
    if run_id is None:
        with tags(evidence.project):
            outcome = retrain(**parameters)
        run_id = outcome.run_id
    publish_run_link(evidence.project, run_id, "retrain")
    return run_id, outcome
