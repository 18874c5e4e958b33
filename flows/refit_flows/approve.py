"""The approval flow: waits until a person approves or refuses a challenger, and promotes it if approved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from refit.records.references import Champion
from refit_flows.parameters import ProjectName, VersionNumber
from refit_tasks.notifications.messages import notify_approval
from refit_tasks.prediction.compare import point_to_comparison
from refit_tasks.presentation.summaries import summarize_approval
from refit_tasks.promotion.approve import find_pending_version, record_approval, require_judgement
from refit_tasks.registry.verdict_report import render_verdict
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message, suspended_heartbeat
from refit_tasks.runs.liveness import run_lock

WAITS_SECONDS = 30 * 24 * 3_600
"""How long a run stays suspended before it ends; `refit approve` still works afterwards."""


class Approval(RunInput):
    """The form in the Prefect UI."""

    decision: Literal["approve", "refuse"] = Field(
        title="May it serve?", description="If approved, it becomes champion at once; if refused, the champion stays."
    )
    who: str = Field(min_length=1, max_length=200, title="Your name", description="Recorded in the ledger.")
    why: str = Field("", max_length=2_000, title="Why", description="Recorded in the ledger.")


@flow(name="approve", flow_run_name="{project}: approve version {version}")
@fail_with_message
def approve(project: ProjectName, version: VersionNumber) -> Champion | None:
    """Waits until a person approves or refuses a version; no process runs in the meantime.

    Args:
        project: The project's name.
        version: The pending version.

    Returns:
        The new champion; `None` after a refusal.

    Raises:
        RefitError: If the version is not pending, or the champion has changed since the comparison.
    """
    with run_lock("approve", project):
        page = render_verdict(require_judgement(find_pending_version(project, version)))
        form = Approval.with_initial_data(description=page + point_to_comparison(project))
        with suspended_heartbeat():
            answer = suspend_flow_run(wait_for_input=form, timeout=WAITS_SECONDS)
        approved, now = answer.decision == "approve", datetime.now(UTC)
        champion = record_approval(project, version, approved, answer.who, answer.why, now)
    notify_approval(project, champion)
    return complete_with_message(champion, summarize_approval(version, champion, answer.who))
