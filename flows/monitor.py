"""The watch: judges the production window against the champion's reference, and decides what follows."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from prefect import flow

from flows.retrain import retrain
from refit.monitoring.outcomes import MonitorOutcome
from refit.windows import as_past
from tasks.catalog import find_project
from tasks.champion import find_champion
from tasks.decision import settle_decision
from tasks.drift_report import publish_monitor
from tasks.evidence import find_known, gather, look
from tasks.ingest import ingest
from tasks.trigger import announce, start_remotely

log = logging.getLogger(__name__)


@flow(name="monitor", flow_run_name="{project}: monitor")
def monitor(project: str, as_of: datetime | None = None, event: str | None = None) -> MonitorOutcome:
    """Decides whether the champion should be retrained, whether a person should look, or neither.

    Args:
        project: The project's name.
        as_of: The instant to look from; nothing later is seen. Now, if left out.
        event: An event from outside that asks for a retrain, in words.

    Returns:
        The evidence, the decision, and the retrain if one followed.

    Raises:
        RefitError: If the rows are refused, or a retrain that follows is.
    """
    started, now = time.monotonic(), datetime.now(UTC)
    until = as_past(as_of, now) if as_of else now
    definition = find_project(project)
    log.info("%s: monitoring as of %s", project, until.isoformat(timespec="minutes"))
    champion = find_champion(definition)
    ingestion = ingest(definition, until)
    current = look(definition, champion, until, event)
    known = find_known(definition, current)
    evidence = known[0] if known else gather(definition, champion, current)
    recorded = settle_decision(definition, evidence, now, unless=known[1] if known else None)
    nothing_new = known is not None and recorded == known[1]
    run_id, outcome = None, None
    if not nothing_new:
        publish_monitor(definition, evidence, recorded)
        announce(evidence, recorded)
        if recorded.decision.action == "retrain":
            run_id = start_remotely(definition, evidence, recorded)
            if run_id is None:
                outcome = retrain(
                    project, until, f"{recorded.decision.trigger}, decision {recorded.id}", decision=recorded.id
                )
                run_id = outcome.run_id
    return MonitorOutcome(
        evidence=evidence,
        ingestion=ingestion,
        champion=champion,
        decision_id=recorded.id,
        decision=recorded.decision,
        nothing_new=nothing_new,
        retrain=outcome,
        started_run=run_id,
        seconds=time.monotonic() - started,
    )
