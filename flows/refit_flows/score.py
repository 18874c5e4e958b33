"""Predictions in batches: the champion, and the version that shadows it, answer rows and what they said is kept."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from refit.results.score import ScoreOutcome
from refit.windows import require_past
from refit_flows.parameters import Instant, Place, ProjectName
from refit_tasks.catalog import find_project
from refit_tasks.notifications.messages import notify_failure
from refit_tasks.prediction.input_rows import select_rows
from refit_tasks.prediction.score import score_rows
from refit_tasks.prediction.score_report import publish_score
from refit_tasks.prediction.scorers import find_shadow, require_champion
from refit_tasks.presentation.summaries import summarize_score
from refit_tasks.project_log import with_project
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, name_by_source, skip_superseded_runs
from refit_tasks.runs.liveness import run_lock

log = logging.getLogger(__name__)


@flow(name="score", flow_run_name=name_by_source, on_failure=[notify_failure], on_crashed=[notify_failure])
@skip_superseded_runs
@fail_with_message
def score(
    project: ProjectName,
    start: Instant = None,
    end: Instant = None,
    source: Place | None = None,
    as_of: Instant = None,
) -> ScoreOutcome:
    """Scores rows with the champion, and with a challenger that shadows it, and adds the answers to the predictions.

    A row that the same version has scored before is left alone, so that the run may be repeated.

    Args:
        project: The project's name.
        start: The first event time of the project's rows; what is new since the last scored one, if left out.
        end: Just after the last event time; until now, if left out.
        source: A CSV or Parquet file to score in place of the project's rows, or a Delta table's directory or URI.
        as_of: The instant to look from; nothing later is seen. Now, if left out.

    Returns:
        How many rows were scored, and how far they are from what the champion was trained on.

    Raises:
        RefitError: If there is no champion, or the rows are refused.
    """
    started, now = time.monotonic(), datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    with run_lock("score", project) as run:
        champion = require_champion(definition)
        request = select_rows(definition, champion, until, start=start, end=end, source=source)
        with_project(log, project).info("scoring %s with version %d", request.source, champion.version)
        shadow = find_shadow(definition, champion)
        done = score_rows(definition, request, champion, shadow, now, run)
        outcome = ScoreOutcome(project, str(flow_run.id), request, champion, shadow, done, time.monotonic() - started)
        publish_score(definition, outcome)
    return complete_with_message(outcome, summarize_score(outcome))
