"""Made-up situations for the tests of the decision: a quiet week, and what may be found in one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from refit import MonitoringPolicy, Window
from refit.monitoring.decide import decide
from refit.monitoring.decisions import Decision, Finding
from refit.monitoring.evidence import Evidence, Performance, Probe
from refit.monitoring.history import History
from refit.records.drift_findings import ColumnDrift, Drift

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def window_at(end: datetime) -> Window:
    return Window(end - WEEK, end)


def quiet(weeks: float = 10, **changes: object) -> Evidence:
    """A week in which nothing was found, so many weeks after the champion's newest row."""
    as_of = START + weeks * WEEK
    return replace(
        Evidence(
            project="rentals",
            as_of=as_of,
            generation=1,
            window=window_at(as_of),
            length=WEEK,
            rows=1_000,
            table_version=1,
            trained_until=START,
            new_rows=round(1_000 * weeks),
            mature_until=as_of,
            growth=1.05,
        ),
        **changes,  # type: ignore[arg-type]
    )


def drift_at(end: datetime, *names: str, huge: bool = False) -> Drift:
    """A comparison in which the named columns drifted, and `calm` did not."""
    columns = tuple(_column(name, drifted=True, huge=huge) for name in names)
    return Drift(window_at(end), 1_000, (*columns, _column("calm")), (), None, calibrated=True)


def _column(name: str, *, drifted: bool = False, huge: bool = False) -> ColumnDrift:
    size = 0.5 if huge else 0.1 if drifted else 0.0
    return ColumnDrift(name, "number", size, size, 0.5, 0.1, 0.1, 0.1, 0.0, 0.0, drifted=drifted, huge=huge)


def probe_at(end: datetime, gain: float = 0.3, error: float = 0.02, seconds: float = 1.0) -> Probe:
    return Probe(
        "accuracy", window_at(end), 1_000, (4_000, 4_000), loss=1.0, gain=gain, error=error, blocks=50, seconds=seconds
    )


def score(current: float | None = 0.7, *, dropped: bool = False) -> Performance:
    withheld = "half of the labels are missing" if current is None else None
    window = window_at(START + 9 * WEEK)
    return Performance("accuracy", window, 900, 900, 0.9, current, None, None, None, dropped, withheld, None)


def decided(
    evidence: Evidence, policy: MonitoringPolicy | None = None, history: History | None = None
) -> tuple[Decision, History]:
    """Decides, and moves the history on."""
    policy, history = policy or MonitoringPolicy(), history or History()
    decision = decide(evidence, policy, history)
    return decision, history.after(evidence, decision, policy)


def finding(decision: Decision, check: str) -> Finding:
    (found,) = (one for one in decision.findings if one.check == check)
    return found
