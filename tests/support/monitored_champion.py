"""Values for the tests of what a person sees: a monitored champion, made up, and names that want to break out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from refit.backtest.results import BacktestResult, Event, PolicyResult
from refit.monitoring.decisions import Decision, Finding
from refit.monitoring.evidence import Estimate, Evidence, Performance, Probe
from refit.records.drift_findings import ColumnDrift, DomainDrift, Drift
from refit.windows import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
HOSTILE = "a|b\r\n# c <script>alert('1')</script> [d](http://e) ![f](g) `h` $\\frac{$ \u202e\u4e16 \"'><img src=x>"


def column(name: str = "temperature", *, drifted: bool = False, kind: str = "number", many: int = 4) -> ColumnDrift:
    """A column whose second half of cells grew, with as many missing values as before."""
    cells = tuple(f"{name} {place}" for place in range(many))
    half = many // 2
    return ColumnDrift(
        column=name,
        kind=kind,
        psi=0.41234 if drifted else 0.0101,
        excess=0.35 if drifted else 0.0,
        p_value=1e-9 if drifted else 0.6,
        distance=0.31,
        jensen_shannon=0.1,
        kolmogorov_smirnov=0.2 if kind == "number" else None,
        missing_change=0.1 if drifted else -0.001,
        unseen=0.05 if drifted else 0.0,
        drifted=drifted,
        huge=False,
        cells=(*cells, "unseen", "missing") if drifted else (),
        reference_shares=(*[0.9 / many] * many, 0.0, 0.1) if drifted else (),
        current_shares=(*[0.5 / many] * half, *[1.1 / many] * (many - half), 0.05, 0.2) if drifted else (),
    )


def evidence(week: int = 10, *columns: ColumnDrift, score: float | None = 0.81) -> Evidence:
    """What a monitor run at the end of a week might know."""
    end = START + week * WEEK
    window, mature = Window(end - WEEK, end), Window(end - 2 * WEEK, end - WEEK)
    performance = Performance(
        metric="roc_auc",
        window=mature,
        rows=1_000,
        rows_mature=950,
        reference=0.85,
        current=score,
        interval=None if score is None else (score - 0.02, score + 0.02),
        change=None if score is None else score - 0.85,
        p_value=0.004,
        dropped=score is not None and score < 0.8,
        withheld="half of the labels are missing" if score is None else None,
        estimate=Estimate("accuracy", 0.77, 1_000),
    )
    return Evidence(
        project="rentals",
        as_of=end,
        generation=2,
        window=window,
        length=WEEK,
        rows=1_000,
        table_version=7,
        trained_until=START,
        new_rows=9_000,
        mature_until=mature.end,
        drift=Drift(window, 1_000, columns or (column(),), (), DomainDrift(0.52, 0.55, drifted=False), calibrated=True),
        performance=performance,
        probe=Probe("roc_auc", mature, 500, (4_000, 4_000), loss=0.2, gain=0.03, error=0.01, blocks=20, seconds=0.4),
        withheld=("the table has no slices",),
    )


def decision(action: str = "wait", sentence: str = "the gain is 15 %, at least 2 % is required") -> Decision:
    """A decision with one trigger that fired unless it waits, and one that did not."""
    fired = action != "wait"
    findings = (
        Finding("probe", fired, 0.15, 0.02, sentence),
        Finding("schedule", fired=False, value=None, limit=None, sentence="no retraining schedule is set"),
    )
    return Decision(action, "probe" if fired else None, findings)


def backtest(names: tuple[str, ...] = ("never", "every window", "default")) -> BacktestResult:
    """Ten windows, the last eight of them scored; the second and later policies train now and then."""
    windows = tuple(Window(START + week * WEEK, START + (week + 1) * WEEK) for week in range(10))
    policies = {}
    for place, name in enumerate(names):
        trained = range(1, 9, place) if place else range(0)
        events = tuple(Event(week, windows[week].end, "retrain", "because") for week in trained)
        losses = tuple((0.3 - 0.03 * bool(place)) + 0.01 * (week % 3) for week in range(8))
        loss = sum(losses) / 8
        policies[name] = PolicyResult(
            loss, loss / 0.30875, None, 0.01, len(events), len(events) // 2, losses, (1,) * 8, events
        )
    return BacktestResult("rentals", "roc_auc", windows, 5_000, policies, fits=9, seconds=12.0)
