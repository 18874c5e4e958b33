"""How far the current window is from the rows that the champion was trained on."""

from __future__ import annotations

import logging

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.drift.anchors import Anchors
from refit.drift.comparison import Reference, compare
from refit.drift.profile import Profile, merge, profile
from refit.modelling.preparation import seen_by
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.records.references import Champion
from refit.records.snapshots import SnapshotRef
from refit.windows import Window
from refit_tasks.monitoring.profiles import load_reference
from refit_tasks.registry.model_store import fetch_model
from refit_tasks.storage.streaming import chunks, said_of

log = logging.getLogger(__name__)


@task(task_run_name="measure drift against version {champion.version} of {definition.name}", cache_policy=NO_CACHE)
def measure_drift(definition: Project, champion: Champion, window: Window, version: int) -> Drift | None:
    """Compares a window's rows, and what the champion says of them, with the champion's reference.

    The rows are read once, a piece at a time; the reference's rows are not read again.

    Args:
        definition: The project.
        champion: The version that serves.
        window: The current window.
        version: The version of the project's table.

    Returns:
        What was found; `None` where drift is not watched, the window has too few rows, or the champion was registered
        without a profile.

    Raises:
        ModelError: If the champion cannot be loaded or cannot predict these rows, or its profile is damaged.
    """
    policy = definition.monitoring.drift
    reference = load_reference(champion.model) if policy else None
    if policy is None or reference is None:
        return None
    rows = SnapshotRef(definition.name, version, window, 0, "")
    data, scores = _profiled(definition, champion, reference, rows)
    if data is None or data.rows < policy.min_rows:
        return None
    found = compare(reference, data, scores, window, policy)
    log.info("%s: %d of %d columns drifted in %s", definition.name, len(found.drifted), len(found.columns), window)
    return found


def _profiled(
    definition: Project, champion: Champion, reference: Reference, rows: SnapshotRef
) -> tuple[Profile | None, Profile | None]:
    estimator = fetch_model(definition, champion.model) if reference.scores else None
    columns = list(reference.data.columns)
    wanted = [
        definition.timestamp,
        *columns,
        *(seen_by(estimator, definition.features_of(columns)) if estimator else ()),
    ]
    cells = reference.data.anchors.unblocked()
    score_cells = reference.scores.anchors.unblocked() if reference.scores else None
    data, scores = None, None
    for part in chunks(definition, rows, wanted):
        data = added(data, part, cells, definition.timestamp)
        if estimator is not None and score_cells is not None:
            scores = added(scores, said_of(estimator, definition, part), score_cells, definition.timestamp)
    return data, scores


def added(former: Profile | None, rows: pa.Table, cells: Anchors, timestamp: str) -> Profile:
    """Adds rows to a profile.

    Args:
        former: The profile so far; `None` before the first rows.
        rows: More rows.
        cells: The cells of the reference's columns.
        timestamp: The column of event times.

    Returns:
        The profile of both.
    """
    new = profile([rows], cells, timestamp)
    return new if former is None else merge([former, new])
