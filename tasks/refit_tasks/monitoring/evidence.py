"""The evidence of a decision: the state of the table, and measurements that are made only if something has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from refit.data.split import TICK, Times, to_microseconds
from refit.errors import ModelError
from refit.monitoring.decide import DecisionRecord
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.monitoring.label_maturity import current_window, mature_until, window_length
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import Champion
from refit.windows import Window
from refit_tasks.decision.decide import RecordedDecision
from refit_tasks.decision.lock import is_retrain_running
from refit_tasks.ledger.generations import generation_of
from refit_tasks.ledger.record import latest
from refit_tasks.monitoring.drift import measure_drift
from refit_tasks.monitoring.performance import measure_performance, run_probe, run_watch
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, within
from refit_tasks.storage.snapshots import watermark

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

T = TypeVar("T")


@define_task("look at {definition.name}")
def read_current_state(
    definition: Project, champion: Champion | None, as_of: datetime, event: str | None = None
) -> Evidence:
    """Reads the current window and its row counts, without measuring anything.

    Args:
        definition: The project.
        champion: The champion, if any.
        as_of: The time as of which the data is seen, UTC.
        event: The external event that requests a retrain, if any.

    Returns:
        Evidence without drift, performance and probe.
    """
    table = open_table(definition.name)
    trained = champion.model.trained_on.window if champion else None
    length = window_length(definition.monitoring.window, trained)
    last = (watermark(table) if table else None) or as_of
    newest = min(as_of, last)
    window = current_window(newest, as_of, length, trained.end if trained else None)
    since = min(window.start, trained.end) if trained else window.start
    known = _read_times(definition, table, Window(min(since, window.end), max(window.end, last + TICK)))
    times = known[known < to_microseconds(window.end)]
    mature = min(newest, mature_until(as_of, definition.label_delay)) if table else None
    return Evidence(
        project=definition.name,
        as_of=as_of,
        generation=generation_of(champion),
        window=window,
        length=length,
        rows=int((times >= to_microseconds(window.start)).sum()),
        table_version=table.version() if table else -1,
        trained_until=trained.end if trained else None,
        new_rows=int((times >= to_microseconds(trained.end)).sum()) if trained else len(times),
        mature_until=mature,
        growth=_measure_growth(table, known, trained.end, mature) if table and trained and mature else None,
        request=RetrainRequest("event", event) if event else None,
        under_way=is_retrain_running(definition.name),
    )


def measure_evidence(definition: Project, champion: Champion | None, current: Evidence) -> Evidence:
    """Measures drift, performance and the benefit of a retrain.

    Args:
        definition: The project.
        champion: The champion; without one nothing is measured.
        current: From `read_current_state`.

    Returns:
        The whole evidence. A measurement that the champion's model cannot give is named in `withheld`.
    """
    if champion is None:
        return current
    withheld: list[str] = []

    def measured(measure: Callable[[], T]) -> T | None:
        try:
            return measure()
        except ModelError as fault:
            # A champion that cannot score these rows does not stop the decision: the other evidence is kept.
            withheld.append(str(fault))
            return None

    drift = measured(lambda: measure_drift(definition, champion, current.window, current.table_version))
    performance = measured(lambda: measure_performance(definition, champion, current.as_of, current.length))
    before = len(withheld)
    probed = measured(lambda: run_probe(definition, champion, current.as_of, current.length))
    unprobed = probed if isinstance(probed, str) else " ".join(withheld[before:])
    return replace(
        current,
        drift=drift,
        performance=performance,
        probe=None if isinstance(probed, str) else probed,
        unprobed=unprobed,
        watched=measured(lambda: run_watch(definition, champion, current.as_of, current.length)),
        withheld=tuple(withheld),
    )


def find_unchanged_decision(definition: Project, current: Evidence) -> tuple[Evidence, RecordedDecision] | None:
    """Finds the newest decision, if its evidence has not changed since.

    Args:
        definition: The project.
        current: From `read_current_state`.

    Returns:
        Its evidence as of now, and the decision; `None` if rows, labels, champion or policy have changed, or a retrain
        is requested.
    """
    entry = latest(definition.name, "decision")
    if entry is None or current.request is not None:
        return None
    former = from_payload(DecisionRecord, entry.payload)
    measured = {"drift": former.evidence.drift, "performance": former.evidence.performance}
    measured_now = replace(
        current,
        probe=former.evidence.probe,
        unprobed=former.evidence.unprobed,
        withheld=former.evidence.withheld,
        watched=former.evidence.watched,
        **measured,  # type: ignore[arg-type]
    )
    since = replace(former.evidence, as_of=current.as_of, under_way=current.under_way)
    if since != measured_now or former.policy != definition.monitoring:
        return None
    with_project(log, definition.name).info("nothing new since decision %d", entry.id)
    probed = replace(measured_now.probe, seconds=0.0) if measured_now.probe else None  # the probe is not run again
    return replace(measured_now, probe=probed), RecordedDecision(entry.id, former.decision)


def _measure_growth(table: DeltaTable, times: Times, trained_until: datetime, mature: datetime) -> float:
    """Divides the mature rows by those that are older than the champion's newest, without reading the older ones.

    Args:
        table: The project's table.
        times: The event times of all its rows from `trained_until` on, at least.
        trained_until: Just after the champion's newest row.
        mature: Just after the newest mature row.
    """
    newer = times[times >= to_microseconds(trained_until)]
    before: int = table.count() - len(newer)
    return (before + int((newer < to_microseconds(mature)).sum())) / max(1, before)


def _read_times(definition: Project, table: DeltaTable | None, window: Window) -> Times:
    """Reads the event times of a window, in microseconds since 1970."""
    if table is None:
        return np.empty(0, np.int64)
    parts = read(table, [definition.timestamp], within(definition.timestamp, window))
    return np.concatenate([np.empty(0, np.int64), *(part.column(0).cast(pa.int64()).to_numpy() for part in parts)])
