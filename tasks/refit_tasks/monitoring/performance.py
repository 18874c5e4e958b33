"""How well the champion really does: its predictions against the labels that have come by now."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.data.split import Times
from refit.gate.evaluations import Evaluation
from refit.gate.judgements import Judgement
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import pick, seen_by
from refit.modelling.scoring import metric_of
from refit.monitoring.estimated_performance import calibrated, estimate, probabilities_of
from refit.monitoring.evidence import Estimate, Performance
from refit.monitoring.label_maturity import MatureWindow, mature_until, newest_mature
from refit.monitoring.performance import baseline, measure
from refit.monitoring.realised import in_kind
from refit.policies.monitoring import PerformancePolicy
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import Champion
from refit.records.snapshots import SnapshotRef
from refit.windows import Window
from refit_tasks.evaluation.evaluate import in_time
from refit_tasks.ledger.record import entries, entry
from refit_tasks.registry.model_store import fetch_model
from refit_tasks.storage.delta import open_table, read, within
from refit_tasks.storage.snapshot_rows import pinned

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

log = logging.getLogger(__name__)

ALL = 100_000
"""More promotions than any project has."""


@task(task_run_name="measure performance of version {champion.version} of {definition.name}", cache_policy=NO_CACHE)
def measure_performance(
    definition: Project, champion: Champion, as_of: datetime, length: timedelta
) -> Performance | None:
    """Scores the champion on the newest mature window, and holds it against the best that a champion was promoted with.

    All is read at the table's version of now. Rows of a time that the champion was trained on do not count.

    Args:
        definition: The project.
        champion: The version that serves.
        as_of: The instant looked from, UTC.
        length: Of one monitoring window.

    Returns:
        The score, or why it is withheld; `None` while no mature row is newer than those the champion was trained on.

    Raises:
        ModelError: If the champion cannot be loaded, or cannot predict these rows.
    """
    table = open_table(definition.name)
    start, end = champion.model.trained_on.window.end, mature_until(as_of, definition.label_delay)
    if table is None or start >= end:
        return None
    version = table.version()
    policy = definition.monitoring.performance or PerformancePolicy()
    mature = newest_mature(*_labels(definition, version, Window(start, end)), length, policy)
    if mature is None:
        return None
    model = fetch_model(definition, champion.model)
    found = _measured(definition, model, version, mature, Window(max(start, as_of - length), max(start, as_of)))
    log.info("%s: %s on %d mature rows of %s", definition.name, _said(found), found.rows_mature, found.window)
    return found


def promoted_scores(project: str) -> Iterator[tuple[str, Evaluation]]:
    """Reads from the ledger what each champion of a project was promoted with.

    Args:
        project: Its name.

    Yields:
        The metric, and the champion's scores on rows it had not seen when it was judged.
    """
    for promotion in entries(project, "promotion", newest=ALL):
        verdict = entry(promotion.payload["verdict_id"])
        if verdict is not None:
            comparison = from_payload(Judgement, verdict.payload).comparison
            yield comparison.metric, comparison.challenger


def _measured(
    definition: Project, model: BaseEstimator, version: int, mature: MatureWindow, current: Window
) -> Performance:
    rows, predictions = _predicted(definition, model, version, mature.window)
    metric = metric_of(definition, predictions.labels)
    truth = rows[definition.target]
    expected = _estimate(metric, _predicted(definition, model, version, current)[1], predictions, truth)
    against = baseline(metric, promoted_scores(definition.name))
    return measure(definition, mature, predictions, truth, rows[definition.timestamp], against, expected)


def _predicted(
    definition: Project, model: BaseEstimator, version: int, window: Window
) -> tuple[pd.DataFrame, Predictions]:
    rows = in_time(definition, SnapshotRef(definition.name, version, window, 0, ""))
    return rows, predict_once(model, pick(rows, seen_by(model, definition.features_of(rows.columns))))


def _estimate(metric: str, current: Predictions, known: Predictions, truth: pd.Series[Any]) -> Estimate | None:
    """Estimates the score of the current window by probabilities that are calibrated on the mature one."""
    if not len(current):
        return None
    wanted, there = probabilities_of(current), truth.notna().to_numpy()
    if wanted is None or not there.any():
        return None if wanted is None else estimate(metric, current, wanted)
    realised = in_kind(truth[there], current.labels)
    said = known.all_of("predict_proba")[there]
    return estimate(metric, current, calibrated(wanted, said, realised, current.labels))


def _labels(definition: Project, version: int, window: Window) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Reads which rows of a window have a label: their event times, sorted, and a mask."""
    columns = [definition.timestamp, definition.target]
    parts = list(read(pinned(definition, version), columns, within(definition.timestamp, window)))
    times = np.concatenate([np.empty(0, np.int64), *(part.column(0).cast(pa.int64()).to_numpy() for part in parts)])
    there = np.concatenate([np.empty(0, np.bool_), *(np.asarray(part.column(1).is_valid()) for part in parts)])
    order = np.argsort(times, kind="stable")
    return times[order], there[order]


def _said(found: Performance) -> str:
    return f"{found.metric} is withheld" if found.current is None else f"{found.metric} = {found.current:.4g}"
