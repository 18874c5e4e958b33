"""Rules on features: exactly the project's, none forbidden, and none that leaks the label."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from refit.gate.evidence import Inputs
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import baseline_model, features_seen_by
from refit.modelling.scoring import loss, score
from refit.policies.gate import GatePolicy
from refit.project import Project
from refit.records.verdicts import Reason

Ranks = npt.NDArray[np.float64]
"""The ranks of a column's values, as the only column of an array, which small models read faster than a frame."""
TREE_LEAVES, LEAF_ROWS = 64, 20
"""Large enough for a threshold or a lookup, too small to memorise single rows."""
NEIGHBOURS = 2
"""So few that nothing is smoothed: a copy of the label in any unit is recovered exactly."""
MOST_ROWS = 5_000
"""The most rows that the small models are fitted on."""


def measure_inputs(
    definition: Project, model: BaseEstimator, training: pd.DataFrame, holdout: pd.DataFrame, metric: str
) -> Inputs:
    """Lists the features of a model, and finds the one that predicts best by itself.

    Args:
        definition: The project.
        model: The challenger.
        training: A sample of the rows that it was trained on, with all columns.
        holdout: The holdout's rows.
        metric: The scorer's name.

    Returns:
        The features, and the share of the trivial model's loss that the strongest one removes on the holdout by itself.
    """
    expected = definition.features_of(holdout.columns)
    features = features_seen_by(model, expected)
    tested = [name for name in features if name in holdout.columns and name in training.columns]
    rows = training.sample(min(MOST_ROWS, len(training)), random_state=definition.training.seed)
    # These ranks are finite, and checks of each argument would take as long as the small models themselves.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        trivial = _trivial_loss(definition, rows, holdout, metric) if tested else 0.0
        strengths = {name: _strength(definition, rows, holdout, name, metric, trivial) for name in tested}
    strongest = max(strengths, key=lambda name: strengths[name], default=None)
    strength = None if strongest is None else strengths[strongest]
    return Inputs(tuple(features), tuple(expected), strongest, strength)


def check_inputs(found: Inputs) -> Reason:
    """Requires a model that was fitted on exactly the project's features.

    Args:
        found: The features of the model and of the project.

    Returns:
        The reason; its value is the number of missing and additional features.
    """
    extra = [name for name in found.features if name not in found.expected]
    missing = [name for name in found.expected if name not in found.features]
    told = [
        *([f"{_listed(extra)} {_is(extra)} not among the project's features"] if extra else []),
        *([f"it does not use {_listed(missing)}"] if missing else []),
    ]
    fine = f"it was fitted on exactly the project's {len(found.expected)} features"
    return Reason("inputs", not told, float(len(extra) + len(missing)), 0.0, "; ".join(told) or fine)


def check_forbidden_features(found: Inputs, policy: GatePolicy) -> Reason:
    """Requires a model without forbidden features.

    Args:
        found: The features.
        policy: For the names and patterns that are forbidden.

    Returns:
        The reason; its value is the number of forbidden features.
    """
    hit = [name for name in found.features if any(fnmatchcase(name, pattern) for pattern in policy.forbidden)]
    fine = "none of its features is forbidden" if policy.forbidden else "gate.forbidden is empty"
    sentence = f"it uses {_listed(hit)}, which gate.forbidden excludes" if hit else fine
    return Reason("forbidden_features", not hit, float(len(hit)), 0.0, sentence)


def check_leakage(found: Inputs, policy: GatePolicy) -> Reason:
    """Rejects a challenger with a feature that predicts so well by itself that it probably contains the label.

    Args:
        found: The strongest feature.
        policy: For the share of the loss that it may remove.

    Returns:
        The reason; its value is that share.
    """
    if found.strongest is None or found.strength is None:
        return Reason(
            "leakage", passed=True, value=None, limit=policy.leakage, sentence="no feature was tested by itself"
        )
    measured = f"the feature {found.strongest!r} alone removes {found.strength:.1%} of a trivial model's loss"
    if policy.leakage is None:
        return Reason("leakage", passed=True, value=found.strength, limit=None, sentence=f"{measured}, no limit is set")
    passed = found.strength < policy.leakage
    limit = f"{policy.leakage:.1%}"
    compared = f"less than {limit}" if passed else f"{limit} or more: it probably contains the label"
    return Reason("leakage", passed, found.strength, policy.leakage, f"{measured}, {compared}")


def _trivial_loss(definition: Project, training: pd.DataFrame, holdout: pd.DataFrame, metric: str) -> float:
    """Returns the loss of a model that sees no feature."""
    seen, unseen = (np.zeros((len(rows), 1)) for rows in (training, holdout))
    model = baseline_model(definition.kind).fit(seen, training[definition.target])
    return loss(metric, score(metric, _predict(model, unseen), holdout[definition.target]))


def _strength(
    definition: Project, training: pd.DataFrame, holdout: pd.DataFrame, name: str, metric: str, trivial: float
) -> float:
    """Returns the share of the trivial model's loss that the better of some small models of one feature removes."""
    seen, unseen = _ranks(training[name], holdout[name])
    truth, target = holdout[definition.target], training[definition.target].to_numpy()
    remaining = min(
        loss(metric, score(metric, _predict(model.fit(seen, target), unseen), truth))
        for model in _small_models(definition, len(training))
    )
    share = 1 - remaining / trivial if trivial > 0 else 0.0
    return share if np.isfinite(share) else 0.0


def _predict(model: BaseEstimator, ranks: Ranks) -> Predictions:
    return predict_once(model, ranks)  # type: ignore[arg-type]  # small models read an array, too


def _small_models(definition: Project, rows: int) -> list[BaseEstimator]:
    """Returns a tree, which finds thresholds, and for regressions a nearest-neighbour model, which follows curves."""
    seed, bounds = definition.training.seed, {"max_leaf_nodes": TREE_LEAVES, "min_samples_leaf": LEAF_ROWS}
    if definition.kind == "classification":
        return [DecisionTreeClassifier(**bounds, random_state=seed)]
    neighbours = KNeighborsRegressor(min(NEIGHBOURS, rows), weights="distance")
    return [DecisionTreeRegressor(**bounds, random_state=seed), neighbours]


def _ranks(training: pd.Series[Any], holdout: pd.Series[Any]) -> tuple[Ranks, Ranks]:
    """Returns each value's rank among the training values: the same in any unit, and finite for infinite values."""
    known = training.dropna()
    if types.is_numeric_dtype(known.dtype) or types.is_datetime64_any_dtype(known.dtype):
        values = np.unique(_as_floats(known))
        return _ranks_among(values, training), _ranks_among(values, holdout)
    texts = pd.Index(known.astype(str).unique()).sort_values()
    seen, unseen = (texts.get_indexer(pd.Index(column.astype(str))) for column in (training, holdout))
    return seen[:, np.newaxis].astype(float), unseen[:, np.newaxis].astype(float)


def _ranks_among(values: np.ndarray[Any, Any], column: pd.Series[Any]) -> Ranks:
    """Returns mid-ranks: halfway through equal values, on the border between different ones, -1 for a missing value."""
    floats = _as_floats(column)
    place = (np.searchsorted(values, floats, "left") + np.searchsorted(values, floats, "right")) / 2
    return np.where(column.isna(), -1, place)[:, np.newaxis]


def _as_floats(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if types.is_datetime64_any_dtype(column.dtype):
        column = column.astype("int64")
    return column.to_numpy(dtype=float, na_value=np.nan)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - 5
    return ", ".join(map(repr, names[:5])) + (f" and {rest} more" if rest > 0 else "")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
