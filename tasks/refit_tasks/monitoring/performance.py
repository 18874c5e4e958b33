"""Measurements on rows whose labels have matured: realised performance, benefit probe and post-promotion check."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from refit.data.split import TICK, Times
from refit.errors import ModelError
from refit.gate.comparison import Candidate
from refit.gate.evaluations import Evaluation, Judgement
from refit.modelling.former_types import cast_to_former_types
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import features_seen_by, select_features
from refit.modelling.scoring import primary_metric
from refit.monitoring.benefit_probe import MOST_ROWS, probe_benefit
from refit.monitoring.decide import DecisionRecord
from refit.monitoring.estimated_performance import calibrate_probabilities, estimate_score, predict_probabilities
from refit.monitoring.evidence import Estimate, FormerComparison, Performance, Probe
from refit.monitoring.label_correction import cast_to_classes
from refit.monitoring.label_maturity import MatureWindow, find_mature_window, mature_until
from refit.monitoring.performance import best_baseline, measure_score
from refit.monitoring.post_promotion import find_due_look
from refit.policies.monitoring import PerformancePolicy
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import Champion, SnapshotRef
from refit.windows import BEGINNING, Window, format_window
from refit_tasks.evaluation.evaluate import load_candidate, read_rows_by_time, score_on_rows
from refit_tasks.ledger.generations import champion_of
from refit_tasks.ledger.record import entries, entries_of, latest
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage.delta import open_table, read, schema_of, within
from refit_tasks.storage.snapshot_rows import read_sample, read_training_schema
from refit_tasks.training.fit import translate_estimator_errors

if TYPE_CHECKING:
    from deltalake import DeltaTable


log = logging.getLogger(__name__)

ALL = 100_000
"""More than the promotions of any project."""


@define_task("measure performance of version {champion.version} of {definition.name}")
def measure_performance(
    definition: Project, champion: Champion, as_of: datetime, length: timedelta
) -> Performance | None:
    """Scores the champion on the newest mature window, and compares it with the best score at any promotion.

    The table is read at its current version. Rows from the champion's training window are ignored.

    Args:
        definition: The project.
        champion: The champion.
        as_of: The time as of which the data is seen, UTC.
        length: The length of a monitoring window.

    Returns:
        The score, or why it is withheld; `None` if no mature row is newer than the champion's training rows.

    Raises:
        ModelError: If the champion cannot be loaded, or cannot predict these rows.
    """
    table = open_table(definition.name)
    start, end = champion.model.trained_on.window.end, mature_until(as_of, definition.label_delay)
    if table is None or start >= end:
        return None
    policy = definition.monitoring.performance or PerformancePolicy()
    mature = find_mature_window(*_read_labels(definition, table, Window(start, end)), length, policy)
    if mature is None:
        return None
    model = Candidate("the champion", fetch_model(definition, champion.model), champion.model.trained_on)
    found = _measure_window(definition, model, table, mature, Window(max(start, as_of - length), max(start, as_of)))
    with_project(log, definition.name).info(
        "%s on %d mature rows from %s", _describe_score(found), found.rows_mature, format_window(found.window)
    )
    return found


def read_promotion_scores(project: str) -> Iterator[tuple[str, Evaluation]]:
    """Reads from the ledger the scores with which the champions of a project were promoted.

    Args:
        project: The project's name.

    Yields:
        The metric, and the champion's evaluation on its holdout.
    """
    promoted = [made.payload["verdict_id"] for made in entries(project, "promotion", newest=ALL)]
    verdicts = entries_of(set(promoted))
    for number in promoted:
        if verdict := verdicts.get(number):
            comparison = from_payload(Judgement, verdict.payload).comparison
            yield comparison.metric, comparison.challenger


def _measure_window(
    definition: Project, model: Candidate, table: DeltaTable, mature: MatureWindow, current: Window
) -> Performance:
    former = read_training_schema(definition, model.trained_on)
    rows, predictions = _predict_window(definition, model, table, mature.window, former)
    metric = primary_metric(definition, predictions.labels)
    truth = rows[definition.target]
    expected = _estimate_score(
        metric, _predict_window(definition, model, table, current, former)[1], predictions, truth
    )
    against = best_baseline(metric, read_promotion_scores(definition.name))
    return measure_score(definition, mature, predictions, truth, rows[definition.timestamp], against, expected)


def _predict_window(
    definition: Project, model: Candidate, table: DeltaTable, window: Window, former: pa.Schema | None
) -> tuple[pd.DataFrame, Predictions]:
    rows = read_rows_by_time(definition, SnapshotRef(definition.name, table.version(), window, 0, ""), table)
    columns = definition.features_of(rows.columns)
    known = cast_to_former_types(rows, former, schema_of(table)) if former else rows
    return rows, predict_once(model.model, select_features(known, features_seen_by(model.model, columns)))


def _estimate_score(metric: str, current: Predictions, known: Predictions, truth: pd.Series[Any]) -> Estimate | None:
    """Estimates the score of the current window from probabilities that are calibrated on the mature window."""
    if not len(current):
        return None
    wanted, there = predict_probabilities(current), truth.notna().to_numpy()
    if wanted is None or not there.any():
        return None if wanted is None else estimate_score(metric, current, wanted)
    realised = cast_to_classes(truth[there], current.labels)
    said = known.compute("predict_proba")[there]
    return estimate_score(metric, current, calibrate_probabilities(wanted, said, realised, current.labels))


def _read_labels(definition: Project, table: DeltaTable, window: Window) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Reads the event times of a window, sorted, and a mask of the rows that have a label."""
    columns = [definition.timestamp, definition.target]
    parts = list(read(table, columns, within(definition.timestamp, window)))
    times = np.concatenate([np.empty(0, np.int64), *(part.column(0).cast(pa.int64()).to_numpy() for part in parts)])
    there = np.concatenate([np.empty(0, np.bool_), *(np.asarray(part.column(1).is_valid()) for part in parts)])
    order = np.argsort(times, kind="stable")
    return times[order], there[order]


def _describe_score(found: Performance) -> str:
    return f"{found.metric} is withheld" if found.current is None else f"{found.metric} = {found.current:.4g}"


@define_task("probe the benefit of a retrain of {definition.name}")
def run_probe(definition: Project, champion: Champion, as_of: datetime, length: timedelta) -> Probe | str | None:
    """Compares a small model on fresh rows with an equally small one on the champion's rows, on the newest mature rows.

    Args:
        definition: The project.
        champion: The champion.
        as_of: The time as of which the data is seen, UTC.
        length: The length of a monitoring window.

    Returns:
        The gain, and the duration in seconds; why it could not be estimated, in a clause; or `None` if the probe is
        switched off, or no rows have matured since the champion was trained.

    Raises:
        TrainingFailed: If the project's estimator cannot be built.
    """
    start, policy, table = perf_counter(), definition.monitoring.probe, open_table(definition.name)
    trained, until = champion.model.trained_on.window, min(mature_until(as_of, definition.label_delay), as_of)
    if policy is None or table is None or until <= trained.end:
        return None
    known = SnapshotRef(definition.name, table.version(), Window(BEGINNING, until), 0, "", labelled=True)
    history = _read_history(definition, known, table)
    newest = history[definition.timestamp].max().to_pydatetime() + TICK if len(history) else trained.end
    if newest <= trained.end:
        return None
    with translate_estimator_errors(definition):
        found = probe_benefit(definition, history, trained, Window(newest - length, newest), policy)
    if isinstance(found, str):
        return found
    with_project(log, definition.name).info("a retrain would gain %+.2g (%+.1f %%)", found.gain, 100 * found.share)
    return replace(found, seconds=perf_counter() - start)


def _read_history(definition: Project, known: SnapshotRef, table: DeltaTable) -> pd.DataFrame:
    names = schema_of(table).names
    identity = list(definition.key or names)
    columns = [definition.timestamp, definition.target, *definition.features_of(names)]
    rows = read_sample(definition, known, columns, identity, MOST_ROWS, table)
    return rows.sort_values(definition.timestamp, kind="stable", ignore_index=True) if len(rows) else rows


@define_task("watch version {champion.version} of {definition.name}")
def run_watch(definition: Project, champion: Champion, as_of: datetime, length: timedelta) -> FormerComparison | None:
    """Scores the champion and the one that it replaced on rows that neither was trained on.

    Each look is made once: until the next window has matured, the scores of the newest decision are returned again.

    Args:
        definition: The project.
        champion: The champion.
        as_of: The time as of which the data is seen, UTC.
        length: The length of a monitoring window.

    Returns:
        The scores; `None` if the check is switched off, there is no former champion, or no window has matured.

    Raises:
        ModelError: If one of the two cannot be loaded, or cannot predict these rows.
    """
    policy, former = definition.monitoring.watch, find_former_champion(champion)
    if policy is None or former is None:
        return None
    start = max(champion.model.trained_on.window.end, former.model.trained_on.window.end)
    due = find_due_look(start, min(as_of, mature_until(as_of, definition.label_delay)), length, policy.looks)
    known = _find_last_comparison(definition.name, champion.generation)
    if due is None or (known and known.look == due[0]):
        return known if due else None
    return _compare_with_former(definition, champion, former, *due)


def find_former_champion(champion: Champion) -> Champion | None:
    """Finds the champion that the current one replaced by promotion.

    Args:
        champion: The champion.

    Returns:
        The former champion; `None` if the current one was the first, or was restored by a rollback.
    """
    promotion = latest(champion.model.project, "promotion")
    if promotion is None or promotion.payload["former"] is None:
        return None
    return from_payload(Champion, promotion.payload["former"]) if champion_of(promotion) == champion else None


def _find_last_comparison(project: str, generation: int) -> FormerComparison | None:
    newest = latest(project, "decision")
    evidence = from_payload(DecisionRecord, newest.payload).evidence if newest else None
    return evidence.watched if evidence and evidence.generation == generation else None


def _compare_with_former(
    definition: Project, champion: Champion, former: Champion, look: int, window: Window
) -> FormerComparison | None:
    table = open_table(definition.name)
    if table is None:
        return None
    rows = read_rows_by_time(
        definition, SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True), table
    )
    if not len(rows):
        return None
    serving = load_candidate(definition, f"champion version {champion.version}", champion.model)
    try:
        before = load_candidate(definition, f"former champion version {former.version}", former.model)
    except ModelError as lost:  # it may be why it was replaced
        with_project(log, definition.name).warning("%s", lost)
        return None
    metric = primary_metric(definition, list(getattr(serving.model, "classes_", [])))
    scores = [score_on_rows(definition, metric, one, rows) for one in (serving, before)]
    with_project(log, definition.name).info(
        "%s is %.4g, the former champion's %.4g", metric, *(one.value for one in scores)
    )
    return FormerComparison(metric, look, window, len(rows), former.version, *scores)
