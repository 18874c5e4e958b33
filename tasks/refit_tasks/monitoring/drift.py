"""Drift of the current window against the champion's reference profile, and the making of that profile.

The profile of a model's training rows is made once, at registration, and stored with the model in MLflow.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from refit.data.column_types import cast_changed
from refit.data.fingerprint import bottom_k_sample
from refit.drift.binning import Binning, count_blocks, make_binning
from refit.drift.comparison import Reference, ScoreProfile, compare_with_reference, make_reference
from refit.drift.profile import Profile, build_profile, merge_profiles
from refit.drift.serialization import reference_from_bytes, reference_to_bytes
from refit.errors import ModelError, NotEnoughData
from refit.modelling.preparation import features_seen_by
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.records.references import Challenger, Champion, ModelRef, SnapshotRef, identify_compared_model
from refit.windows import Window, format_window
from refit_infra.settings import Settings
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.scratch import scratch_area
from refit_tasks.storage.delta import schema_of
from refit_tasks.storage.snapshot_rows import open_versions, predict_outputs, read_chunks, read_training_schema

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from sklearn.base import BaseEstimator

log = logging.getLogger(__name__)


@define_task("measure drift against version {champion.version} of {definition.name}")
def measure_drift(definition: Project, champion: Champion, window: Window, version: int) -> Drift | None:
    """Compares a window's rows, and predictions for them, with the champion's reference profile.

    The predictions of both sides are the judged model's: a refitted champion has seen the reference's rows, and is more
    certain there than it will ever be again. The window is read once, in chunks; the reference's rows are not read
    again.

    Args:
        definition: The project.
        champion: The champion.
        window: The current window.
        version: The version of the project's table.

    Returns:
        The drift; `None` if the project has no drift policy, the window has too few rows, or the champion was
        registered without a profile.

    Raises:
        ModelError: If the model cannot predict these rows, or the profile is damaged.
    """
    policy = definition.monitoring.drift
    reference = load_reference(champion) if policy else None
    if policy is None or reference is None:
        return None
    rows = SnapshotRef(definition.name, version, window, 0, "")
    data, scores = _profile_window(definition, champion, reference, rows)
    if data is None or data.rows < policy.min_rows:
        return None
    found = compare_with_reference(reference, data, scores, window, policy)
    with_project(log, definition.name).info(
        "%d of %d columns drifted from %s", len(found.drifted), len(found.columns), format_window(window)
    )
    return found


def _profile_window(
    definition: Project, champion: Champion, reference: Reference, rows: SnapshotRef
) -> tuple[Profile | None, ScoreProfile | None]:
    known = reference.scores
    estimator = _fetch_compared_model(definition, champion) if known else None
    columns = list(reference.data.columns)
    wanted = [
        definition.timestamp,
        *columns,
        *(features_seen_by(estimator, definition.features_of(columns)) if estimator else ()),
    ]
    cells = reference.data.current_binning()
    score_cells = known.profile.current_binning() if known else None
    data, scores = None, None
    former = read_training_schema(definition, champion.model.trained_on)
    for part in read_chunks(definition, rows, wanted):
        known_types = cast_changed(part, former) if former else part
        data = extend_profile(data, known_types, cells, definition.timestamp)
        if estimator is not None and score_cells is not None:
            scores = extend_profile(
                scores, predict_outputs(estimator, definition, part, former), score_cells, definition.timestamp
            )
    return data, ScoreProfile(scores, identify_compared_model(champion)) if scores else None


def _fetch_compared_model(definition: Project, champion: Champion) -> BaseEstimator | None:
    """Fetches the model of the reference's predictions; without its files the features alone are compared."""
    if champion.judged is None:
        return fetch_model(definition, champion.model)
    try:
        return fetch_model(definition, champion.judged)
    except ModelError as fault:
        with_project(log, definition.name).warning("predictions are not compared, their model is lost: %s", fault)
        return None


def extend_profile(former: Profile | None, rows: pa.Table, cells: Binning, timestamp: str) -> Profile:
    """Adds rows to a profile.

    Args:
        former: The profile so far; `None` at first.
        rows: The rows to add.
        cells: The bins of the reference's columns.
        timestamp: The column of event times.

    Returns:
        The profile of all rows.
    """
    new = build_profile([rows], cells, timestamp)
    return new if former is None else merge_profiles([former, new])


FOLDER, FILE = "reference", "profile.bin"
"""The path of the profile among the artifacts of the model's run."""
SAMPLE = 50_000
"""The number of the reference's rows, sampled from all of it, that determine the bins of its profile."""


@define_task("profile the reference of version {challenger.version}")
def profile_reference(definition: Project, challenger: Challenger, holdout: SnapshotRef) -> None:
    """Stores the profile of a model's training rows, and of the judged model's predictions on the holdout, once.

    Args:
        definition: The project.
        challenger: The registered model, and the one that the gate judged.
        holdout: The rows it was judged on. Predictions are profiled there, since a model is overconfident on rows that
            it was trained on.

    Raises:
        ModelError: If the judged model cannot be loaded or cannot predict.
    """
    model = challenger.model
    if _has_profile(model):
        return
    trained, tables = model.trained_on, open_versions(definition, model.trained_on, holdout)
    data = _profile_data(definition, trained, tables[trained.version])
    reference = make_reference(data, _profile_scores(definition, challenger, holdout, tables[holdout.version]), 0)
    with scratch_area(definition.name) as scratch:
        file = scratch / FILE
        file.write_bytes(reference_to_bytes(reference))
        open_mlflow().log_artifact(model.run_id, str(file), FOLDER)
        with_project(log, definition.name).info("the reference profile takes %d bytes", file.stat().st_size)


def load_reference(champion: Champion) -> Reference | None:
    """Loads the reference profile of a champion, which is cached in `REFIT_HOME`.

    Args:
        champion: The champion.

    Returns:
        The profile; `None` for a version that was registered without one.

    Raises:
        ModelError: If the profile is damaged.
    """
    from mlflow.artifacts import download_artifacts

    model = champion.model
    cached = Settings().home / "references" / f"{model.run_id}.bin"
    if not cached.exists():
        if not _has_profile(model):
            return None
        cached.parent.mkdir(parents=True, exist_ok=True)
        with scratch_area(model.project) as scratch:
            uri = f"runs:/{model.run_id}/{FOLDER}/{FILE}"
            Path(download_artifacts(artifact_uri=uri, dst_path=str(scratch))).replace(cached)
    return reference_from_bytes(cached.read_bytes(), identify_compared_model(champion))


def _profile_data(definition: Project, ref: SnapshotRef, table: DeltaTable) -> Profile:
    names = schema_of(table).names
    features, identity = definition.features_of(names), list(definition.key or names)
    columns = [definition.timestamp, *features]
    sample = bottom_k_sample(read_chunks(definition, ref, [*columns, *identity], table), identity, SAMPLE)
    return _profile_with_bins(definition, sample, features, ref.rows, read_chunks(definition, ref, columns, table))


def _profile_scores(
    definition: Project, challenger: Challenger, holdout: SnapshotRef, table: DeltaTable
) -> ScoreProfile:
    estimator = fetch_model(definition, challenger.judged or challenger.model)
    names = schema_of(table).names
    columns = [definition.timestamp, *features_seen_by(estimator, definition.features_of(names))]
    parts = read_chunks(definition, holdout, columns, table)
    said = pa.concat_tables(predict_outputs(estimator, definition, rows) for rows in parts)
    names = [name for name in said.column_names if name != definition.timestamp]
    profile = _profile_with_bins(definition, said, names, holdout.rows, [said])
    return ScoreProfile(profile, identify_compared_model(challenger))


def _profile_with_bins(
    definition: Project, sample: pa.Table | None, columns: list[str], rows: int, batches: Iterable[pa.Table]
) -> Profile:
    """Builds a profile of rows, with bins that a sample of them determines."""
    if sample is None:
        raise NotEnoughData(f"{definition.name} has no rows to profile: its table has changed since; retrain")
    times = sample.column(definition.timestamp).cast(pa.int64()).to_pylist()
    anchors = make_binning(sample, columns, times, count_blocks(rows))
    return build_profile(batches, anchors, definition.timestamp, threads=os.cpu_count() or 1)


def _has_profile(model: ModelRef) -> bool:
    return any(found.path == f"{FOLDER}/{FILE}" for found in open_mlflow().list_artifacts(model.run_id, FOLDER))
