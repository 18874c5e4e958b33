"""What a challenger looks at: the project's features and no others, none that is forbidden, none that gives it away."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from refit.gate.evidence import Inputs
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import baseline_model, features_seen_by
from refit.modelling.scoring import loss, score
from refit.policies.gate import GatePolicy
from refit.project import Project
from refit.records.verdicts import Reason

TREE_LEAVES, LEAF_ROWS = 64, 20
"""Large enough for a threshold or a lookup, too small to learn single rows by heart."""
NEIGHBOURS = 2
"""So few that nothing is smoothed: a copy of the label, in whatever unit, is read off exactly."""
MOST_ROWS = 5_000
"""The most rows that the small models are fitted on."""


def measure_inputs(
    definition: Project, model: BaseEstimator, training: pd.DataFrame, holdout: pd.DataFrame, metric: str
) -> Inputs:
    """Names what a model was fitted on, and finds the feature that alone predicts best.

    Args:
        definition: The project.
        model: The challenger.
        training: Rows that it was trained on, or a sample of them, with all columns.
        holdout: The holdout's rows.
        metric: The scorer's name.

    Returns:
        The features, and how much of the trivial model's loss the strongest one removes on the holdout by itself.
    """
    expected = definition.features_of(holdout.columns)
    features = features_seen_by(model, expected)
    looked_at = [name for name in features if name in holdout.columns and name in training.columns]
    rows = training.sample(min(MOST_ROWS, len(training)), random_state=definition.training.seed)
    strengths = {name: _strength(definition, rows, holdout, name, metric) for name in looked_at}
    strongest = max(strengths, key=lambda name: strengths[name], default=None)
    strength = None if strongest is None else strengths[strongest]
    return Inputs(tuple(features), tuple(expected), strongest, strength)


def check_inputs(found: Inputs) -> Reason:
    """Asks for a model that was fitted on the project's features, all of them and no others.

    Args:
        found: Both.

    Returns:
        The reason; its value is how many columns are missing or too many.
    """
    extra = [name for name in found.features if name not in found.expected]
    missing = [name for name in found.expected if name not in found.features]
    told = [
        *([f"{_listed(extra)} {_is(extra)} no feature of the project"] if extra else []),
        *([f"it does not look at {_listed(missing)}"] if missing else []),
    ]
    fine = f"it was fitted on the project's {len(found.expected)} features"
    return Reason("inputs", not told, float(len(extra) + len(missing)), 0.0, "; ".join(told) or fine)


def check_forbidden_features(found: Inputs, policy: GatePolicy) -> Reason:
    """Asks for a model that looks at nothing it must not see.

    Args:
        found: The features.
        policy: For the names and patterns that are forbidden.

    Returns:
        The reason; its value is how many forbidden features there are.
    """
    hit = [name for name in found.features if any(fnmatchcase(name, pattern) for pattern in policy.forbidden)]
    fine = "none of its features is forbidden" if policy.forbidden else "no feature is forbidden"
    sentence = f"it looks at {_listed(hit)}, which gate.forbidden names" if hit else fine
    return Reason("forbidden_features", not hit, float(len(hit)), 0.0, sentence)


def check_leakage(found: Inputs, policy: GatePolicy) -> Reason:
    """Suspects a feature that alone predicts nearly perfectly of holding the label.

    Args:
        found: The strongest feature.
        policy: For the share of the loss it may remove.

    Returns:
        The reason.
    """
    if found.strongest is None or found.strength is None:
        return Reason("leakage", passed=True, value=None, limit=policy.leakage, sentence="no feature to look at alone")
    measured = f"{found.strongest!r} alone removes {found.strength:.1%} of a trivial model's loss"
    if policy.leakage is None:
        return Reason("leakage", passed=True, value=found.strength, limit=None, sentence=f"{measured}, no limit is set")
    passed = found.strength < policy.leakage
    asked = (
        f"from {policy.leakage:.1%} on it would be suspected to hold the label" if passed else "does it hold the label?"
    )
    return Reason("leakage", passed, found.strength, policy.leakage, f"{measured}, {asked}")


def _strength(definition: Project, training: pd.DataFrame, holdout: pd.DataFrame, name: str, metric: str) -> float:
    """Fits small models on one feature, and says which share of the trivial model's loss the better one removes."""
    seen, asked = _places(training[name], holdout[name])
    truth, target = holdout[definition.target], training[definition.target]
    least, lost = (
        min(loss(metric, score(metric, predict_once(model.fit(seen, target), asked), truth)) for model in models)
        for models in (_small(definition, len(training)), [baseline_model(definition.kind)])
    )
    share = 1 - least / lost if lost > 0 else 0.0
    return share if np.isfinite(share) else 0.0


def _small(definition: Project, rows: int) -> list[BaseEstimator]:
    """Gives a tree, which finds thresholds, and for numbers their neighbours' mean: steps are no match for a curve."""
    seed, bounds = definition.training.seed, {"max_leaf_nodes": TREE_LEAVES, "min_samples_leaf": LEAF_ROWS}
    if definition.kind == "classification":
        return [DecisionTreeClassifier(**bounds, random_state=seed)]
    neighbours = KNeighborsRegressor(min(NEIGHBOURS, rows), weights="distance")
    return [DecisionTreeRegressor(**bounds, random_state=seed), neighbours]


def _places(training: pd.Series[Any], holdout: pd.Series[Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gives each value's place among those of the training rows: the same whatever the unit, infinite or huge."""
    known = training.dropna()
    if types.is_numeric_dtype(known.dtype) or types.is_datetime64_any_dtype(known.dtype):
        values = np.unique(_plain(known))
        return _among(values, training), _among(values, holdout)
    texts = pd.Index(known.astype(str).unique()).sort_values()
    seen, asked = (texts.get_indexer(pd.Index(column.astype(str))) for column in (training, holdout))
    return pd.DataFrame({"place": seen}), pd.DataFrame({"place": asked})


def _among(values: np.ndarray[Any, Any], column: pd.Series[Any]) -> pd.DataFrame:
    """A value lies halfway through its own place, one between two of them on the border; a missing one before all."""
    plain = _plain(column)
    place = (np.searchsorted(values, plain, "left") + np.searchsorted(values, plain, "right")) / 2
    return pd.DataFrame({"place": np.where(column.isna(), -1, place)})


def _plain(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if types.is_datetime64_any_dtype(column.dtype):
        column = column.astype("int64")
    return column.to_numpy(dtype=float, na_value=np.nan)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - 5
    return ", ".join(map(repr, names[:5])) + (f" and {rest} more" if rest > 0 else "")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
