"""The backtest flow: replays the project's history under several monitoring policies."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from prefect import flow

from refit.backtest.results import BacktestResult
from refit.windows import require_past
from refit_flows.parameters import Instant, ProjectName, Windows
from refit_tasks.catalog import find_project
from refit_tasks.presentation.summaries import summarize_backtest
from refit_tasks.project_log import with_project
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message
from refit_tasks.runs.liveness import run_lock
from refit_tasks.scratch import process_scratch
from refit_tasks.simulation.backtest import run_backtest
from refit_tasks.simulation.backtest_report import publish_backtest

log = logging.getLogger(__name__)


@flow(name="backtest", flow_run_name="{project}: {windows} windows")
@fail_with_message
def backtest(
    project: ProjectName, policies: list[str] | None = None, windows: Windows = 30, as_of: Instant = None
) -> BacktestResult:
    """Replays a project's history through the same decisions, trainings and gate under several policies.

    Args:
        project: The project's name.
        policies: Names of policies or paths of JSON files; the default set if omitted.
        windows: The number of windows that the history is cut into.
        as_of: The time as of which data is seen; later rows are ignored. Now, if omitted.

    Returns:
        The loss and the trainings of each policy.

    Raises:
        RefitError: If a policy is unknown, the history too short, or the project's code fails.
    """
    now = datetime.now(UTC)
    until = require_past(as_of, now) if as_of else now
    definition = find_project(project)
    with_project(log, project).info("replaying its history in %d windows", windows)
    with run_lock("backtest", project), process_scratch(project):
        result = run_backtest(definition, policies or [], windows, until)
        publish_backtest(definition, result)
    return complete_with_message(result, summarize_backtest(result))
