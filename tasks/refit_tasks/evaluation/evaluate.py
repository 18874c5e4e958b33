"""Evaluation of challenger, champion and the trivial baseline on one holdout, which none of them was trained on."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from refit.errors import LeakyHoldout, ModelError
from refit.gate.comparison import (
    Candidate,
    HoldoutData,
    compare_on_holdout,
    evaluate_predictions,
    judging_error,
    predict_holdout,
)
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.evidence import SandboxRun
from refit.modelling.former_types import cast_to_former_types
from refit.project import Project
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit.windows import format_time
from refit_tasks.evaluation.serving_check import check_serving_on_rows
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage.delta import schema_of
from refit_tasks.storage.snapshot_rows import open_versions, read_rows, read_sample, read_training_schema

if TYPE_CHECKING:
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

SAMPLE = 5_000
"""The most training rows that are searched for a feature that leaks the label."""


@define_task("evaluate {definition.name} on {holdout.rows} unseen rows")
def evaluate(
    definition: Project,
    challenger: ModelRef,
    champion: Champion | None,
    holdout: SnapshotRef,
    rehearsal: SandboxRun | None = None,
) -> Comparison:
    """Compares the models and a trivial baseline on the holdout.

    Args:
        definition: The project.
        challenger: The candidate for promotion.
        champion: The serving model, if any. If it was trained on the holdout, the model that was evaluated before its
            promotion is used in its place.
        holdout: Labelled rows that are newer than the training rows of both models.
        rehearsal: The result of the challenger's serving check.

    Returns:
        The scores and all other evidence, on the same rows.

    Raises:
        LeakyHoldout: If the champion was trained on rows from the time of the holdout. A challenger that was is
            rejected by the gate.
        ModelError: If a model cannot be loaded or cannot predict the holdout.
    """
    rival = champion.model_to_compare(holdout.window) if champion else None
    if champion and rival:
        _require_unseen(_name_of(champion), rival, holdout)
    trained, tables = challenger.trained_on, open_versions(definition, holdout, challenger.trained_on)
    target = read_rows(definition, trained, [definition.target], tables[trained.version])[definition.target]
    sample = _read_sample(definition, trained, tables[trained.version])
    rows = read_rows_by_time(definition, holdout, tables[holdout.version])
    against = _load_champion(definition, champion, holdout) if champion else None
    comparison = compare_on_holdout(
        definition,
        load_candidate(definition, "the challenger", challenger),
        against,
        HoldoutData(
            holdout,
            rows,
            target,
            sample,
            rehearsal,
            champion_rows=_cast_rows(definition, against, rows, tables[holdout.version]) if against else None,
        ),
    )
    scored = comparison.challenger.value
    logger.info("%s scores %s = %.4g on %d rows", definition.name, comparison.metric, scored, holdout.rows)
    stands_in = champion is not None and against is not None and against.trained_on != champion.model.trained_on
    return replace(comparison, stand_in=stands_in)


def find_rival(definition: Project, champion: Champion | None, *, replacing: bool) -> Champion | None:
    """Finds the champion that a challenger is compared with.

    Args:
        definition: The project.
        champion: The champion, if any.
        replacing: Whether the run is to replace the champion, even if its files are lost.

    Returns:
        The champion; `None` if there is none, or a run that is to replace it cannot load its model.
    """
    if champion is None or not replacing:
        return champion
    for model in (champion.model, champion.judged):
        try:
            if model:
                fetch_model(definition, model)
                return champion
        except ModelError as fault:
            with_project(logger, definition.name).warning("%s cannot be compared: %s", _name_of(champion), fault)
    return None


def is_comparable_on(champion: Champion | None, holdout: SnapshotRef) -> bool:
    """Tells whether a champion, or its stand-in, was trained on none of a holdout's rows.

    Args:
        champion: The serving model, if any.
        holdout: The rows of the comparison.

    Returns:
        Whether a challenger can be compared with the champion on these rows; true without a champion.
    """
    rival = champion.model_to_compare(holdout.window) if champion else None
    return rival is None or rival.trained_on.window.end <= holdout.window.start


@define_task("check how {definition.name} serves")
def check_serving_on_holdout(definition: Project, model: ModelRef, holdout: SnapshotRef) -> SandboxRun:
    """Compares a stored model's predictions in the sandbox with those of this process.

    Args:
        definition: The project.
        model: The model, in MLflow.
        holdout: The rows to predict.

    Returns:
        The result; a model that cannot serve is a result, too, with its fault.

    Raises:
        ModelError: If the model's files are missing from MLflow.
    """
    return check_serving_on_rows(definition, model, read_rows_by_time(definition, holdout))


def evaluate_refitted(definition: Project, model: ModelRef, comparison: Comparison, rows: pd.DataFrame) -> Evaluation:
    """Scores the final fit on the holdout, which is part of its training rows: only a bad score is informative.

    Args:
        definition: The project.
        model: The final fit.
        comparison: The comparison of the judged model, with its metric.
        rows: The holdout, from `read_rows_by_time`.

    Returns:
        The scores, in the same blocks of time.

    Raises:
        ModelError: If the model cannot be loaded or cannot predict the holdout.
    """
    again = load_candidate(definition, "the model fitted on all rows", model)
    return score_on_rows(definition, comparison.metric, again, rows)


def score_on_rows(definition: Project, metric: str, candidate: Candidate, rows: pd.DataFrame) -> Evaluation:
    """Scores a loaded model on labelled rows.

    Args:
        definition: The project.
        metric: The name of a scikit-learn scorer.
        candidate: The model.
        rows: Labelled rows, sorted by event time.

    Returns:
        The scores over all rows and in blocks of time.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    return evaluate_predictions(definition, metric, candidate.name, predict_holdout(definition, candidate, rows), rows)


def load_candidate(definition: Project, name: str, model: ModelRef) -> Candidate:
    """Loads a model for a comparison.

    Args:
        definition: The project.
        name: The model's name in messages, such as `champion version 3`.
        model: The model.

    Returns:
        The loaded model with its name and training rows.

    Raises:
        ModelError: If the model cannot be loaded.
    """
    try:
        return Candidate(name, fetch_model(definition, model), model.trained_on)
    except ModelError as fault:
        raise judging_error(definition, name, fault) from fault


def read_rows_by_time(definition: Project, ref: SnapshotRef, table: DeltaTable | None = None) -> pd.DataFrame:
    """Reads the rows of a snapshot, sorted by event time.

    Args:
        definition: The project.
        ref: The snapshot.
        table: The project's table at the snapshot's version, where it is open already.

    Returns:
        The rows with all columns; rows with equal event times are sorted by key.
    """
    rows = read_rows(definition, ref, table=table)
    return rows.sort_values(definition.timestamp, kind="stable", ignore_index=True)


def _load_champion(definition: Project, champion: Champion, holdout: SnapshotRef) -> Candidate:
    """Loads the champion, or the model that was judged before its promotion if the champion's files are lost."""
    rival, judged = champion.model_to_compare(holdout.window), champion.judged
    try:
        return load_candidate(definition, _name_of(champion), rival)
    except ModelError as fault:
        if judged is None or rival == judged or judged.trained_on.window.end > holdout.window.start:
            raise
        with_project(logger, definition.name).warning("the judged model is compared in the champion's place: %s", fault)
        return load_candidate(definition, _name_of(champion), judged)


def _cast_rows(definition: Project, champion: Candidate, rows: pd.DataFrame, table: DeltaTable) -> pd.DataFrame:
    """Casts the rows to the types that the champion was trained on, if a column's type was changed since."""
    former = read_training_schema(definition, champion.trained_on)
    return cast_to_former_types(rows, former, schema_of(table)) if former else rows


def _read_sample(definition: Project, trained_on: SnapshotRef, table: DeltaTable) -> pd.DataFrame:
    """Reads a sample of the training rows with all columns."""
    names = schema_of(table).names
    return read_sample(definition, trained_on, names, list(definition.key or names), SAMPLE, table)


def _name_of(champion: Champion) -> str:
    return f"champion version {champion.version}"


def _require_unseen(name: str, model: ModelRef, holdout: SnapshotRef) -> None:
    trained_until = model.trained_on.window.end
    if holdout.window.start < trained_until:
        raise LeakyHoldout(
            f"{name} of {model.project} was trained on rows until {format_time(trained_until)}, but the holdout begins "
            f"earlier, at {format_time(holdout.window.start)}: retrain with a later --as-of"
        )
