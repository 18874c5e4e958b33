"""What challenger, champion and the trivial baseline score on the same rows, which none of them was trained on."""

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
from refit.project import Project
from refit.records.references import Champion, ModelRef, SnapshotRef
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.stored_model import fetch_model
from refit_tasks.storage.delta import schema_of
from refit_tasks.storage.snapshot_rows import open_versions, read_rows, read_sample

if TYPE_CHECKING:
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

SAMPLE = 5_000
"""So many training rows are looked at for a feature that gives the label away."""


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
        challenger: The model that wants to serve.
        champion: The one that serves, if any. If it has seen the holdout, the model that was judged when it was
            promoted stands in for it.
        holdout: Labelled rows that are newer than the training rows of both.
        rehearsal: How the challenger served in a fresh process.

    Returns:
        The scores and all other evidence, all on the same rows.

    Raises:
        LeakyHoldout: If the champion was trained on rows of the holdout's time; of a challenger that is a verdict.
        ModelError: If a model cannot be loaded, or cannot predict the holdout's columns.
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
        HoldoutData(holdout, rows, target, sample, rehearsal),
    )
    scored = comparison.challenger.value
    logger.info("%s scores %s = %.4g on %d rows", definition.name, comparison.metric, scored, holdout.rows)
    stands_in = champion is not None and against is not None and against.trained_on != champion.model.trained_on
    return replace(comparison, stand_in=stands_in)


def is_comparable_on(champion: Champion | None, holdout: SnapshotRef) -> bool:
    """Tells whether a champion, or what stands in for it, has seen none of a holdout's rows.

    Args:
        champion: The one that serves, if any.
        holdout: The rows.

    Returns:
        Whether a challenger can be compared with it on them.
    """
    rival = champion.model_to_compare(holdout.window) if champion else None
    return rival is None or rival.trained_on.window.end <= holdout.window.start


def evaluate_refitted(definition: Project, model: ModelRef, comparison: Comparison, rows: pd.DataFrame) -> Evaluation:
    """Scores a model on a holdout that it has seen: what is good then proves nothing, what is bad does.

    Args:
        definition: The project.
        model: The judged recipe, fitted again on all rows.
        comparison: What the judged model scored, on which rows and by which metric.
        rows: Those rows, from `in_time`.

    Returns:
        The scores, in the same blocks.

    Raises:
        ModelError: If the model cannot be loaded, or cannot predict the holdout's columns.
    """
    again = load_candidate(definition, "the model fitted on all rows", model)
    return score_on_rows(definition, comparison.metric, again, rows)


def score_on_rows(definition: Project, metric: str, contender: Candidate, rows: pd.DataFrame) -> Evaluation:
    """Scores a model on rows.

    Args:
        definition: The project.
        metric: The scorer's name.
        contender: The model.
        rows: Labelled rows, in the order of their event times.

    Returns:
        The scores, over all of them and in blocks of time.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    return evaluate_predictions(definition, metric, contender.name, predict_holdout(definition, contender, rows), rows)


def load_candidate(definition: Project, name: str, model: ModelRef) -> Candidate:
    """Brings a model that is to be compared with others.

    Args:
        definition: The project.
        name: What messages call it.
        model: The model.

    Returns:
        The model, loaded.

    Raises:
        ModelError: If it cannot be loaded.
    """
    try:
        return Candidate(name, fetch_model(definition, model), model.trained_on)
    except ModelError as fault:
        raise judging_error(definition, name, fault) from fault


def read_rows_by_time(definition: Project, ref: SnapshotRef, table: DeltaTable | None = None) -> pd.DataFrame:
    """Reads the rows of a snapshot in the order of their event times.

    Args:
        definition: The project.
        ref: The snapshot.
        table: The project's table at the snapshot's version, where it is open already.

    Returns:
        The rows with all columns; those of one event time in the order of the key.
    """
    rows = read_rows(definition, ref, table=table)
    return rows.sort_values(definition.timestamp, kind="stable", ignore_index=True)


def _load_champion(definition: Project, champion: Champion, holdout: SnapshotRef) -> Candidate:
    """Brings the champion, or the model that was judged in its place where the one that serves is lost."""
    rival, judged = champion.model_to_compare(holdout.window), champion.judged
    try:
        return load_candidate(definition, _name_of(champion), rival)
    except ModelError as fault:
        if judged is None or rival == judged or judged.trained_on.window.end > holdout.window.start:
            raise
        with_project(logger, definition.name).warning("the judged model stands in: %s", fault)
        return load_candidate(definition, _name_of(champion), judged)


def _read_sample(definition: Project, trained_on: SnapshotRef, table: DeltaTable) -> pd.DataFrame:
    """Reads some thousand of the training rows."""
    names = schema_of(table).names
    return read_sample(definition, trained_on, names, list(definition.key or names), SAMPLE, table)


def _name_of(champion: Champion) -> str:
    return f"champion version {champion.version}"


def _require_unseen(name: str, model: ModelRef, holdout: SnapshotRef) -> None:
    trained_until = model.trained_on.window.end
    if holdout.window.start < trained_until:
        raise LeakyHoldout(
            f"{name} of {model.project} was trained on rows until {trained_until.isoformat()}, and the holdout starts "
            f"before that, at {holdout.window.start.isoformat()}: retrain at a later --as-of"
        )
