"""The batch scoring flow: stores the predictions of the champion, and of its shadow, for rows of a table or a file."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from refit.loads.csv_format import CsvFormat
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
from refit_tasks.scratch import process_scratch

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
    csv: CsvFormat | None = None,
) -> ScoreOutcome:
    """Scores rows with the champion and its shadow, and appends the predictions to the predictions table.

    A row that the same version has scored before is skipped, so that the run can be repeated.

    Args:
        project: The project's name.
        start: The first event time to score; the rows since the last scored one, if omitted.
        end: The exclusive end of event times to score; now, if omitted.
        source: A CSV or Parquet file, or the directory or URI of a Delta table, to score instead of the project's rows.
        as_of: The time as of which data is seen; later rows are ignored. Now, if omitted.
        csv: The form of a CSV file, unless it has commas, decimal points, UTF-8 and no word for missing cells.

    Returns:
        The number of rows that were scored, and their skew against the champion's training rows.

    Raises:
        RefitError: If there is no champion, or the rows are refused.
    """
    started, now = time.monotonic(), datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    with run_lock("score", project) as run, process_scratch(project):
        champion = require_champion(definition)
        request = select_rows(definition, champion, until, start=start, end=end, source=source, form=csv)
        with_project(log, project).info("scoring %s with version %d", request.source, champion.version)
        shadow = find_shadow(definition, champion)
        done = score_rows(definition, request, champion, shadow, now, run)
        outcome = ScoreOutcome(project, str(flow_run.id), request, champion, shadow, done, time.monotonic() - started)
        publish_score(definition, outcome)
    return complete_with_message(outcome, summarize_score(outcome))
