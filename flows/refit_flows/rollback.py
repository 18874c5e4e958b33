"""The rollback flow: a former champion serves again."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow

from refit.records.references import Champion
from refit_flows.parameters import ProjectName, VersionNumber, Words
from refit_tasks.notifications.messages import notify_failure, notify_rollback
from refit_tasks.presentation.summaries import summarize_rollback
from refit_tasks.promotion.champion import publish_rollback, rollback_task
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, name_by_reason
from refit_tasks.runs.liveness import run_lock


@flow(name="rollback", flow_run_name=name_by_reason, on_failure=[notify_failure], on_crashed=[notify_failure])
@fail_with_message
def rollback(project: ProjectName, to: VersionNumber | None = None, reason: Words = "manual") -> Champion:
    """Makes a former champion serve again, in one entry of the ledger.

    Args:
        project: The project's name.
        to: The version to return to; the previous champion if omitted.
        reason: The reason, for the record.

    Returns:
        The champion, with a new generation.

    Raises:
        RefitError: If there is no champion, or no version to return to.
    """
    with run_lock("rollback", project):
        champion = rollback_task(project, to, reason, datetime.now(UTC))
        publish_rollback(champion, reason)
    notify_rollback(project, champion, reason)
    return complete_with_message(champion, summarize_rollback(champion, reason))
