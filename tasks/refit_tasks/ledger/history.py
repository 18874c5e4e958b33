"""The history of a project for its report page: a bounded number of ledger entries, even after years."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast, get_args

from sqlalchemy import Connection, select

from refit.monitoring.evidence import Performance
from refit.records.ledger import Entry, from_payload
from refit.records.references import Champion
from refit_tasks.ledger.database import ledger, reading
from refit_tasks.ledger.generations import newest_champion
from refit_tasks.ledger.transactions import as_entry
from refit_tasks.presentation.charts import Event, Mark, Point

MAX_LISTED = 40
"""The most decisions, and the most verdicts, that the page lists."""

MAX_SAMPLED = 400
"""The most decisions, spread evenly over the history, that the chart of scores uses."""


@dataclass(frozen=True, slots=True)
class ProjectHistory:
    """A project's champion and selected ledger entries, the newest first unless stated otherwise."""

    champion: Champion | None
    decisions: tuple[Entry, ...]
    """The newest decisions."""
    decided: int
    """The number of all decisions."""
    sampled: tuple[Entry, ...]
    """Decisions from the whole history, including the newest; oldest first."""
    retrains: tuple[Entry, ...]
    """The endings of the newest retrains."""
    retrains_since: int
    """The id of the first decision from which on all endings of retrains are in `retrains`."""
    verdicts: tuple[Entry, ...]
    """The newest verdicts."""


def read_history(project: str, sample: int = MAX_SAMPLED) -> ProjectHistory:
    """Reads a project's history.

    Args:
        project: The project's name.
        sample: The most decisions, and the most retrains, for the chart of scores.

    Returns:
        The champion, the newest entries, and a sample of older decisions.

    Raises:
        StateError: If the ledger cannot be read.
    """
    with reading() as connection:
        decisions, retrains = _ids(connection, project, "decision"), _ids(connection, project, "retrain")
        ended = _entries(connection, retrains[-sample:])
        wanted = {
            *decisions[-MAX_LISTED:],
            *pick_evenly(decisions, sample),
            *(entry.payload["decision"] for entry in ended),
        }
        sampled = _entries(connection, wanted.intersection(decisions))
        return ProjectHistory(
            champion=newest_champion(connection, project),
            decisions=tuple(reversed(sampled[-MAX_LISTED:])),
            decided=len(decisions),
            sampled=tuple(sampled),
            retrains=tuple(reversed(ended)),
            retrains_since=ended[0].payload["decision"] if len(ended) < len(retrains) else 0,
            verdicts=tuple(reversed(_entries(connection, _ids(connection, project, "verdict")[-MAX_LISTED:]))),
        )


def pick_evenly(ids: list[int], count: int) -> list[int]:
    """Picks evenly spaced ids.

    Args:
        ids: The ids, sorted.
        count: The maximum number of ids.

    Returns:
        The picked ids, sorted, including the last one.

    Example:
        >>> spread([1, 2, 3, 4, 5, 6], 3)
        [2, 4, 6]
    """
    step = max(1, -(-len(ids) // count))
    return ids[::-1][::step][::-1]


def score_points(record: ProjectHistory) -> tuple[str, list[Point]]:
    """Collects the realised scores.

    Args:
        record: The project's history.

    Returns:
        The newest metric, and the score of each window by that metric, sorted by time; if several decisions have the
        same window, the newest counts.
    """
    scored = [found for entry in record.sampled if (found := _performance(entry)) and found.current is not None]
    metric = scored[-1].metric if scored else ""
    newest = {found.window.end: found for found in scored if found.metric == metric}
    return metric, [
        Point(end, found.current, found.interval, found.reference)
        for end, found in sorted(newest.items())
        if found.current is not None
    ]


def event_marks(record: ProjectHistory) -> list[Mark]:
    """Collects the events that the chart of scores marks.

    Args:
        record: The project's history.

    Returns:
        Alerts and retrains with their outcome, each at the time that its decision was made for.
    """
    ended = {entry.payload["decision"]: event for entry in record.retrains if (event := _event(entry))}
    events = ((entry, ended.get(entry.id) or _open_event(entry, record.retrains_since)) for entry in record.sampled)
    return [Mark(decision_time(entry), event) for entry, event in events if event]


def decision_time(decision: Entry) -> datetime:
    """Reads the time that a decision was made for, its `as_of`.

    Args:
        decision: The entry of the decision.

    Returns:
        The time, UTC.
    """
    return datetime.fromisoformat(decision.payload["evidence"]["as_of"])


def _performance(decision: Entry) -> Performance | None:
    found = decision.payload["evidence"]["performance"]
    return from_payload(Performance, found) if found else None


def _open_event(decision: Entry, since: int) -> Event | None:
    """Returns the event of a decision whose retrain has no known ending."""
    action = decision.payload["decision"]["action"]
    if action == "retrain" and decision.id >= since:
        return "asked"
    return "alert" if action == "alert" else None


def _event(retrain: Entry) -> Event | None:
    ending = retrain.payload["ending"]
    return cast(Event, ending) if ending in get_args(Event) else None


def _ids(connection: Connection, project: str, kind: str) -> list[int]:
    query = select(ledger.c.id).where(ledger.c.project == project, ledger.c.kind == kind).order_by(ledger.c.id)
    return list(connection.execute(query).scalars())


def _entries(connection: Connection, ids: Iterable[int]) -> list[Entry]:
    query = select(ledger).where(ledger.c.id.in_(sorted(ids))).order_by(ledger.c.id)
    return [as_entry(row) for row in connection.execute(query)]
