"""The monitor flow: measures drift and realised performance, and decides to retrain, to alert or to wait."""

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
from refit_tasks.decision.matching_state import require_matching_state
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
from refit_tasks.scratch import process_scratch
from refit_tasks.validation.contract_report import publish_contract

log = logging.getLogger(__name__)


@flow(name="monitor", flow_run_name=name_by_event, on_failure=[notify_failure], on_crashed=[notify_failure])
@skip_superseded_runs
@fail_with_message
def monitor(project: ProjectName, as_of: Instant = None, event: Words | None = None) -> MonitorOutcome:
    """Decides whether the champion should be retrained, a person alerted, or neither.

    A decided retrain that was killed on this machine is resumed first, once; then nothing else is decided.

    Args:
        project: The project's name.
        as_of: The time as of which data is seen; later rows are ignored. Now, if omitted.
        event: An external event that requests a retrain, in words.

    Returns:
        The evidence, the decision, and the retrain if one followed.

    Raises:
        RefitError: If the rows or the retrain that follows are refused.
    """
    now = datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    require_matching_state(definition)
    with_project(log, project).info("monitoring as of %s", until.isoformat(timespec="minutes"))
    with run_lock("monitor", project) as run, process_scratch(project):
        outcome = _monitor(definition, until, now, event, run)
    notify_monitor(definition, outcome)
    return complete_with_message(outcome, summarize_monitor(outcome))


def _monitor(definition: Project, until: datetime, now: datetime, event: str | None, run: str | None) -> MonitorOutcome:
    started = time.monotonic()
    champion = find_champion(definition)
    ingestion = ingest(definition, until)
    join_waiting_labels(definition, until)
    if ingestion.rows_in:
        publish_contract(definition, ingestion)
    left = claim_killed_retrain(definition, until)
    if left:
        mark_killed_runs()  # else Prefect would cancel the new run, since the killed one still holds the slot
    evidence, recorded, nothing_new = (
        (*left, False) if left else _measure_and_decide(definition, champion, until, now, event, run)
    )
    publish_challenger(definition, champion, until)
    rolled_back = (
        rollback_if_worse(definition, evidence, recorded, now) if recorded.decision.trigger == "watch" else None
    )
    run_id, outcome = None, None
    if recorded.decision.action == "retrain":
        run_id, outcome = _start_retrain(evidence, build_parameters(evidence, recorded, resumed=left is not None))
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


def _measure_and_decide(
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


def _start_retrain(evidence: Evidence, parameters: dict[str, Any]) -> tuple[str, RetrainOutcome | None]:
    run_id, outcome = start_deployment(evidence, parameters), None
    if run_id is None:
        with tags(evidence.project):
            outcome = retrain(**parameters)
        run_id = outcome.run_id
    publish_run_link(evidence.project, run_id, "retrain")
    return run_id, outcome
