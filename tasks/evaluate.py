"""What challenger, champion and the trivial baseline score on the same rows, which none of them was trained on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.blocks import blocks
from refit.errors import LeakyHoldout, ModelError
from refit.evaluations import Comparison, Evaluation
from refit.models import Champion, ModelRef
from refit.predictions import Predictions, predict_once
from refit.preparation import pick, trivial
from refit.project import Project
from refit.scoring import metric_of, score
from refit.snapshots import SnapshotRef
from tasks.model_store import fetch_model
from tasks.table import read_rows

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

logger = logging.getLogger(__name__)


@task(cache_policy=NO_CACHE)
def evaluate(definition: Project, challenger: ModelRef, champion: Champion | None, holdout: SnapshotRef) -> Comparison:
    """Scores the models and a trivial baseline on the holdout, whole and in blocks of time.

    Args:
        definition: The project.
        challenger: The model that wants to serve.
        champion: The one that serves, if any. If it has seen the holdout, the model that was judged when it was
            promoted stands in for it.
        holdout: Labelled rows that are newer than the training rows of both.

    Returns:
        The scores, all on the same rows and in the same blocks.

    Raises:
        LeakyHoldout: If a model was trained on rows of the holdout's time.
        ModelError: If a model cannot be loaded, or cannot predict the holdout's columns.
    """
    _check_unseen("the challenger", challenger, holdout)
    rival = champion.rival_on(holdout.window) if champion else None
    if champion and rival:
        _check_unseen(_named(champion), rival, holdout)
    rows = _in_time(definition, holdout)
    target = read_rows(definition, challenger.trained_on, [definition.target])[definition.target]
    metric = metric_of(definition, pd.concat([target, rows[definition.target]]).unique())
    comparison = Comparison(
        metric=metric,
        holdout=holdout,
        challenger=_evaluate_model(definition, metric, "the challenger", challenger, rows),
        baseline=_evaluation(definition, metric, _baseline(definition, target, rows), rows),
        champion=_evaluate_model(definition, metric, _named(champion), rival, rows) if champion and rival else None,
        stand_in=bool(champion and rival != champion.model),
    )
    logger.info("%s scores %s = %.4g on %d rows", definition.name, metric, comparison.challenger.value, holdout.rows)
    return comparison


def evaluate_again(definition: Project, model: ModelRef, comparison: Comparison) -> Evaluation:
    """Scores a model on a holdout that it has seen: what is good then proves nothing, what is bad does.

    Args:
        definition: The project.
        model: The judged recipe, fitted again on all rows.
        comparison: What the judged model scored, on which rows and by which metric.

    Returns:
        The scores, in the same blocks.

    Raises:
        ModelError: If the model cannot be loaded, or cannot predict the holdout's columns.
    """
    rows = _in_time(definition, comparison.holdout)
    return _evaluate_model(definition, comparison.metric, "the model fitted on all rows", model, rows)


def _in_time(definition: Project, ref: SnapshotRef) -> pd.DataFrame:
    return read_rows(definition, ref).sort_values(definition.timestamp, kind="stable", ignore_index=True)


def _named(champion: Champion) -> str:
    return f"champion version {champion.version}"


def _check_unseen(name: str, model: ModelRef, holdout: SnapshotRef) -> None:
    trained_until = model.trained_on.window.end
    if holdout.window.start < trained_until:
        raise LeakyHoldout(
            f"{name} of {model.project} was trained on rows until {trained_until.isoformat()}, and the holdout starts "
            f"before that, at {holdout.window.start.isoformat()}: retrain at a later --as-of"
        )


def _evaluate_model(definition: Project, metric: str, name: str, model: ModelRef, rows: pd.DataFrame) -> Evaluation:
    try:
        estimator = fetch_model(definition, model)
        columns = _columns_of(estimator, definition, rows)
        return _evaluation(definition, metric, predict_once(estimator, pick(rows, columns)), rows)
    except ModelError as fault:
        raise type(fault)(f"{name} of {definition.name} cannot be judged: {fault}") from fault


def _columns_of(estimator: BaseEstimator, definition: Project, rows: pd.DataFrame) -> list[str]:
    """Names what the model was fitted on, which need not be what the project's features are by now."""
    return list(getattr(estimator, "feature_names_in_", definition.features_of(rows.columns)))


def _baseline(definition: Project, target: pd.Series[Any], rows: pd.DataFrame) -> Predictions:
    model = trivial(definition.kind).fit(np.zeros((len(target), 1)), target)
    return predict_once(model, rows)


def _evaluation(definition: Project, metric: str, predictions: Predictions, rows: pd.DataFrame) -> Evaluation:
    truth = rows[definition.target]
    return Evaluation(
        value=score(metric, predictions, truth),
        blocks=tuple(score(metric, predictions, truth, block) for block in blocks(rows[definition.timestamp])),
    )
