"""The look back: what other policies would have done with the same past."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from prefect import flow

from refit.backtest.results import BacktestResult
from refit.windows import as_past
from tasks.backtest import replay_history
from tasks.backtest_report import publish_backtest
from tasks.catalog import find_project
from tasks.ingest import ingest

log = logging.getLogger(__name__)


@flow(name="backtest", flow_run_name="{project}: backtest")
def backtest(
    project: str, policies: list[str] | None = None, windows: int = 30, as_of: datetime | None = None
) -> BacktestResult:
    """Replays a project's history under several policies.

    Args:
        project: The project's name.
        policies: Names of policies, or JSON files; all, if left out.
        windows: Into how many windows the history is cut.
        as_of: The instant to look from; nothing later is seen. Now, if left out.

    Returns:
        What each policy lost and did.

    Raises:
        RefitError: If a policy cannot be read, the rows are refused, or there are too few.
    """
    now = datetime.now(UTC)
    until = as_past(as_of, now) if as_of else now
    definition = find_project(project)
    ingest(definition, until)
    result = replay_history(definition, policies or [], windows, until)
    publish_backtest(definition, result)
    return result
