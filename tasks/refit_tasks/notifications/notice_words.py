"""The words of a message to people, which is plain text: nothing in it calls a whole channel or tells a password."""

from __future__ import annotations

import re
from collections.abc import Iterable

from refit.gate.judgements import Judgement
from refit.records.references import Challenger
from refit_tasks.presentation.markdown import number, shortened
from refit_tasks.runs.links import run_page

LONGEST_LINE = 600
"""The most characters of a line: what a project's code raises may be long."""

_CALLS = re.compile(r"<(?=[!@#])|@(?=everyone\b|here\b|channel\b)")
"""What makes chat services call everybody; names and messages come from data."""
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""Who logs in where, in the address of a service."""


def body_of(lines: Iterable[str], run_id: str | None) -> str:
    """Writes the body of a message.

    Args:
        lines: What to say; empty ones are left out.
        run_id: The flow run that it is about, if any.

    Returns:
        The lines, and a link to the run in the Prefect UI where that is known.

    Example:
        >>> body_of(["no rows from postgresql://me:pw@depot/rows", ""], None)
        'no rows from postgresql://***@depot/rows'
    """
    written = [_LOGIN.sub("***", _CALLS.sub("\\g<0>\u200b", shortened(line, LONGEST_LINE))) for line in lines if line]
    return "\n".join((*written, *link("run", run_id)))


def link(what: str, run_id: str | None) -> list[str]:
    """Points to a flow run in the Prefect UI.

    Args:
        what: What people find there.
        run_id: The flow run, if any.

    Returns:
        One line; none where there is no run, or nobody knows where the UI is.
    """
    address = run_page(run_id) if run_id else ""
    return [f"The {what}: {address}"] if address else []


def look_up(entry_id: int) -> str:
    """Names the command that tells more.

    Args:
        entry_id: An entry of the ledger.

    Returns:
        One line.
    """
    return f"To look it up: refit why {entry_id}"


def verdict_lines(challenger: Challenger, judgement: Judgement) -> list[str]:
    """Says how a challenger was judged.

    Args:
        challenger: The version and its verdict.
        judgement: What the verdict rests on.

    Returns:
        What the gate said, the scores, the fit on all rows if there was one, and why it was trained.
    """
    bound = [judgement.bound.sentence] if judgement.bound else []
    return [_rules(challenger), _scores(judgement), *bound, f"Started as: {judgement.reason}"]


def _rules(challenger: Challenger) -> str:
    reasons = challenger.verdict.reasons
    failed = [reason.sentence for reason in reasons if not reason.passed]
    return "Failed: " + "; ".join(failed) if failed else f"It passed all {len(reasons)} rules of the gate."


def _scores(judgement: Judgement) -> str:
    compared = judgement.comparison
    champion = f"champion {number(compared.champion.value)}, " if compared.champion else ""
    window = compared.holdout.window
    return (
        f"{compared.metric} (higher is better): challenger {number(compared.challenger.value)}, {champion}trivial "
        f"baseline {number(compared.baseline.value)}, on {compared.holdout.rows:,} unseen rows from "
        f"{window.start:%Y-%m-%d %H:%M} until {window.end:%Y-%m-%d %H:%M} UTC."
    )
