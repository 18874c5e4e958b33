"""`refit log`: who did what, and when."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from refit_deployments.output import Answer
from refit_tasks.runs.audit_log import Deed, deeds


def show_deeds(project: str | None, since: datetime | None) -> Answer:
    """Lists what people have done.

    Args:
        project: Only what is about this project; all, if `None`.
        since: Only from then on.

    Returns:
        The deeds, the oldest first.
    """
    found = deeds(project, since)
    facts = {"project": project, "deeds": [asdict(deed) for deed in found]}
    return Answer(facts, [_line(deed) for deed in found] or ["nobody has done anything that was to be noted"])


def _line(deed: Deed) -> str:
    who = f"{deed.who}@{deed.host}" if deed.host else deed.who
    more = f"  refit why {deed.entry}" if deed.entry else "" if deed.outcome == "done" else f"  {deed.outcome}"
    return f"{deed.at[:19]}  {who:<24}  {deed.action} {deed.project}".rstrip() + more
