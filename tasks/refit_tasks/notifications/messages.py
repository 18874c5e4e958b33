"""Notifications about the outcomes and failures of flow runs, and the text of their messages.

A message is plain text in which nothing mentions a whole channel or shows a password.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect.runtime import flow_run as running

from refit.errors import NoNewData, RefitError, RetrainRefused
from refit.gate.evaluations import Judgement
from refit.policies.training import NotificationEvent
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit.results.flows import MonitorOutcome, RetrainOutcome
from refit.windows import format_window
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import champion_of
from refit_tasks.ledger.record import entries, latest
from refit_tasks.notifications.notify import Notice, notify
from refit_tasks.presentation.markdown import number, shorten
from refit_tasks.presentation.measurements import describe_performance
from refit_tasks.presentation.summaries import describe_succession
from refit_tasks.project_log import with_project
from refit_tasks.registry.challengers import find_verdict_of_version, read_judgement
from refit_tasks.runs.links import flow_run_url

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State


log = logging.getLogger(__name__)

MISSED_BETWEEN = timedelta(minutes=5), timedelta(days=1)
"""The age between which the monitor notifies of a promotion or rollback that was not notified before, because its run
was killed, the service was down, or it was done on the command line, where a rollback needs no Prefect."""
NEWEST_ROLLBACKS = 20
"""The number of newest rollbacks among which the entry of the current one is looked for."""


def notify_retrain(definition: Project, outcome: RetrainOutcome) -> None:
    """Notifies of a promotion, a rejection, or a challenger that waits for approval.

    Args:
        definition: The project.
        outcome: The outcome of the retrain.
    """
    if definition.notifications.blocks and outcome.judgement:
        with _suppress_errors(definition.name):
            _notify_verdict(definition, outcome.challenger, outcome.judgement, outcome.promotion, outcome.approval_run)


def notify_approval(project: str, champion: Champion | None) -> None:
    """Notifies of a promotion that a person approved.

    Args:
        project: The project's name.
        champion: The new champion; `None` after a refusal, which is not notified.
    """
    if champion is None:
        return
    with _suppress_errors(project):
        definition, challenger = find_project(project), find_verdict_of_version(project, champion.version)
        judgement = read_judgement(challenger) if challenger else None
        if definition.notifications.blocks and challenger and judgement:
            _notify_verdict(definition, challenger, judgement, champion)


def notify_monitor(definition: Project, outcome: MonitorOutcome) -> None:
    """Notifies of an alert or a rollback by the monitor, and of earlier promotions and rollbacks that were missed.

    Args:
        definition: The project.
        outcome: The outcome of the monitor run.
    """
    decision, policy, project = outcome.decision, definition.notifications, definition.name
    if not policy.blocks:
        return
    _notify_missed(definition)
    if outcome.rolled_back and policy.notifies("rollback"):
        notify_rollback(project, outcome.rolled_back, "; ".join(decision.reasons))
    elif decision.action == "alert" and policy.notifies("alert"):
        with _suppress_errors(project):
            body = (
                *decision.reasons,
                *describe_performance(outcome.evidence.performance),
                format_why_hint(outcome.decision_id),
            )
            subject = f"{project}: alert by the monitor ({decision.trigger})"
            notify(definition, Notice("alert", subject, format_body(body, running.id)))


def notify_rollback(project: str, champion: Champion, reason: str) -> None:
    """Notifies of a rollback.

    Args:
        project: The project's name; only the notification needs the project file, the rollback does not.
        champion: The restored champion.
        reason: The reason for the rollback.
    """
    with _suppress_errors(project):
        definition = find_project(project)
        if not definition.notifications.notifies("rollback"):
            return
        made = [
            one
            for one in entries(project, "rollback", newest=NEWEST_ROLLBACKS)
            if one.payload["champion"]["generation"] == champion.generation
        ]
        former = f" in place of version {made[0].payload['former']['version']}" if made else ""
        subject = f"{project}: rolled back, version {champion.version} serves again{former}"
        body = (
            f"Reason: {reason}",
            f"Generation {champion.generation}.",
            *(format_why_hint(one.id) for one in made[:1]),
        )
        notify(definition, Notice("rollback", subject, format_body(body, running.id), made[0].id if made else None))


def notify_failure(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Notifies of a run that failed or crashed, as a hook of the flows.

    A refused retrain and a run without new rows are not notified. A subflow is left to its parent, which fails too.

    Args:
        flow: The flow.
        flow_run: The flow run.
        state: The final state of the run.
    """
    project, run_id = str(flow_run.parameters.get("project")), str(flow_run.id)
    error = getattr(state.data, "result", state.data)  # missing if another process found the run dead
    if flow_run.parent_task_run_id or isinstance(error, RetrainRefused | NoNewData):
        return
    with _suppress_errors(project, run_id):
        kind = f" ({type(error).__name__})" if isinstance(error, BaseException) else ""
        subject = f"{project}: {flow.name} {(state.name or 'Failed').lower()}{kind}"
        message = str(error) if isinstance(error, RefitError) else state.message or ""
        notify(find_project(project), Notice("failure", subject, format_body((message,), run_id)), run_id)


def _notify_missed(definition: Project) -> None:
    now, (least, most) = datetime.now(UTC), MISSED_BETWEEN
    with _suppress_errors(definition.name):
        for made in (latest(definition.name, "promotion"), latest(definition.name, "rollback")):
            if made is None or not least < now - made.at < most:
                continue
            if made.kind == "rollback":
                notify_rollback(made.project, champion_of(made), made.payload["reason"])
            else:
                notify_approval(made.project, champion_of(made))


def _notify_verdict(
    definition: Project,
    challenger: Challenger,
    judgement: Judgement,
    promotion: Champion | None,
    approval_run: str | None = None,
) -> None:
    occasion, summary = _describe_outcome(challenger, judgement, promotion)
    how_to = [f"To approve: refit approve {definition.name} {challenger.version}", *format_link("form", approval_run)]
    lines = (
        *describe_verdict(challenger, judgement),
        *(how_to if occasion == "approval" else ()),
        format_why_hint(challenger.verdict_id),
    )
    subject, about = f"{definition.name}: version {challenger.version} {summary}", challenger.verdict_id
    notify(definition, Notice(occasion, subject, format_body(lines, running.id), about))


def _describe_outcome(
    challenger: Challenger, judgement: Judgement, promotion: Champion | None
) -> tuple[NotificationEvent, str]:
    if promotion:
        return "promotion", f"promoted {describe_succession(judgement.over)}"
    return ("approval", "waits for approval") if challenger.verdict.promote else ("rejection", "rejected")


@contextmanager
def _suppress_errors(project: str, run_id: str | None = None) -> Iterator[None]:
    """Logs any error of a notification, such as a broken project file or an unreachable ledger, as a warning."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the run has done its work, and a notification must not fail it
        message = str(error) if isinstance(error, RefitError) else type(error).__name__
        with_project(log, project).warning(
            "the notification was not sent: %s", message, extra={"flow_run_id": run_id} if run_id else None
        )


LONGEST_LINE = 600
"""The most characters of a line; an error of a project's code may be long."""

_CALLS = re.compile(r"<(?=[!@#])|@(?=everyone\b|here\b|channel\b)")
"""Text that makes chat services notify a whole channel; names and messages come from data."""
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""The credentials in a service's address."""


def format_body(lines: Iterable[str], run_id: str | None) -> str:
    """Formats the body of a message.

    Args:
        lines: The lines of the message; empty ones are left out.
        run_id: The flow run that the message is about, if any.

    Returns:
        The lines, and a link to the run in the Prefect UI if its address is known.

    Example:
        >>> body_of(["no rows from postgresql://me:pw@depot/rows", ""], None)
        'no rows from postgresql://***@depot/rows'
    """
    written = [_LOGIN.sub("***", _CALLS.sub("\\g<0>\u200b", shorten(line, LONGEST_LINE))) for line in lines if line]
    return "\n".join((*written, *format_link("run", run_id)))


def format_link(what: str, run_id: str | None) -> list[str]:
    """Formats a line with a link to a flow run in the Prefect UI.

    Args:
        what: A noun for the page.
        run_id: The flow run, if any.

    Returns:
        One line; none if there is no run, or the address of the UI is not known.
    """
    address = flow_run_url(run_id) if run_id else ""
    return [f"The {what}: {address}"] if address else []


def format_why_hint(entry_id: int) -> str:
    """Formats a line with the command that explains a ledger entry.

    Args:
        entry_id: The ledger entry.

    Returns:
        One line.
    """
    return f"Details: refit why {entry_id}"


def describe_verdict(challenger: Challenger, judgement: Judgement) -> list[str]:
    """Describes the verdict on a challenger.

    Args:
        challenger: The version and its verdict.
        judgement: The judgement behind the verdict.

    Returns:
        Lines: the gate's rules, the scores, the final fit if there was one, and the reason for the retrain.
    """
    bound = [judgement.bound.sentence] if judgement.bound else []
    return [_describe_rules(challenger), _describe_scores(judgement), *bound, f"Started as: {judgement.reason}"]


def _describe_rules(challenger: Challenger) -> str:
    reasons = challenger.verdict.reasons
    failed = [reason.sentence for reason in reasons if not reason.passed]
    return "Failed: " + "; ".join(failed) if failed else f"Passed all {len(reasons)} rules of the gate."


def _describe_scores(judgement: Judgement) -> str:
    compared = judgement.comparison
    champion = f"champion {number(compared.champion.value)}, " if compared.champion else ""
    return (
        f"{compared.metric} (higher is better): challenger {number(compared.challenger.value)}, {champion}trivial "
        f"baseline {number(compared.baseline.value)}, on {compared.holdout.rows:,} unseen rows, "
        f"{format_window(compared.holdout.window)} UTC."
    )
