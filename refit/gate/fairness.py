"""Fairness between groups: demographic parity and equalised odds, and the rule that limits their differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refit.errors import ProjectError
from refit.gate.evidence import Fairness, Group
from refit.modelling.predictions import BINARY, Predictions
from refit.policies.gate import FairnessPolicy
from refit.records.verdicts import Reason

MISSING = "missing"


def measure_fairness(
    policy: FairnessPolicy, predictions: Predictions, truth: pd.Series[Any], rows: pd.DataFrame
) -> Fairness:
    """Measures the selection and error rates of each group, and their differences.

    Demographic parity and equalised odds are Fairlearn's differences between groups (Hardt, Price and Srebro 2016,
    NeurIPS 29, for the latter), for each rate between the groups that have one.

    Args:
        policy: The sensitive column and the fewest rows of a group.
        predictions: The challenger's predictions.
        truth: The labels, of two classes.
        rows: The holdout's rows, with the sensitive column.

    Returns:
        The rates of each group, and the largest differences between those with enough rows.

    Raises:
        ProjectError: If the column is missing, or the target does not have two classes.
    """
    if policy.column not in rows.columns:
        raise ProjectError(
            f"gate.fairness names the unknown column {policy.column!r}: use one of {', '.join(map(str, rows.columns))}"
        )
    if len(predictions.labels) != BINARY:
        raise ProjectError("gate.fairness needs a classification with two classes: remove it from the gate")
    positive = predictions.labels[1]
    selected = predictions.compute_raw("predict") == positive
    positive_rows = (truth == positive).to_numpy()
    names = rows[policy.column].astype(str).where(rows[policy.column].notna(), MISSING).to_numpy()
    groups = tuple(
        _group(str(name), selected[names == name], positive_rows[names == name]) for name in sorted(set(names))
    )
    large = np.isin(names, [group.name for group in groups if group.rows >= policy.min_rows])
    return Fairness(policy.column, groups, *_differences(positive_rows[large], selected[large], names[large]))


def check_fairness(found: Fairness, policy: FairnessPolicy) -> Reason:
    """Requires differences between groups within the limits.

    Args:
        found: The differences.
        policy: For the limits.

    Returns:
        The reason; value and limit are those of the rule that failed, else of demographic parity.
    """
    if found.demographic_parity is None or found.equalized_odds is None:
        sentence = (
            f"{found.column} has fewer than two groups of at least {policy.min_rows:,} rows, so none are compared"
        )
        return Reason("fairness", passed=True, value=None, limit=policy.demographic_parity, sentence=sentence)
    rules = (
        ("selection rates", found.demographic_parity, policy.demographic_parity),
        ("true or false positive rates", found.equalized_odds, policy.equalized_odds),
    )
    failed = [one for one in rules if one[2] is not None and one[1] > one[2]]
    told = ", ".join(
        f"{what} differ by up to {value:.3g} ({'no limit is set' if limit is None else f'limit {limit:g}'})"
        for what, value, limit in rules
    )
    _, value, limit = (failed or rules)[0]
    return Reason("fairness", not failed, value, limit, f"between groups of {found.column}, {told}")


def _group(name: str, selected: np.ndarray[Any, Any], positive_rows: np.ndarray[Any, Any]) -> Group:
    rates = [float(selected[of].mean()) if of.any() else None for of in (positive_rows, ~positive_rows)]
    return Group(name, len(selected), float(selected.mean()), *rates)


def _differences(
    positive_rows: np.ndarray[Any, Any], selected: np.ndarray[Any, Any], names: np.ndarray[Any, Any]
) -> tuple[float | None, float | None]:
    from fairlearn.metrics import (
        demographic_parity_difference,
        false_positive_rate_difference,
        true_positive_rate_difference,
    )

    if len(set(names)) <= 1:
        return None, None
    parity = demographic_parity_difference(positive_rows, selected, sensitive_features=names)
    odds = [0.0]
    for difference, of in (
        (true_positive_rate_difference, positive_rows),
        (false_positive_rate_difference, ~positive_rows),
    ):
        # A group without such rows has no such rate; Fairlearn takes it for 0, and would fail a perfect model.
        with_rate = np.isin(names, names[of])
        if with_rate.any():
            odds.append(
                float(difference(positive_rows[with_rate], selected[with_rate], sensitive_features=names[with_rate]))
            )
    return float(parity), max(odds)
