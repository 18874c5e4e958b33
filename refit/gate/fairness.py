"""Fairness between groups: demographic parity and equalised odds, and the rule that limits their differences."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist
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
    """Requires differences between groups that do not significantly exceed the limits.

    The largest of many noisy rates lies far from the smallest though all groups are treated alike, so a limit is
    exceeded only if a lower bound of some difference is (Agresti and Caffo 2000), at an equal part of the significance
    for each pair of groups and each rate (Bonferroni).

    Args:
        found: The differences.
        policy: For the limits and the significance.

    Returns:
        The reason; value and limit are those of the rule that failed, else of demographic parity.
    """
    if found.demographic_parity is None or found.equalized_odds is None:
        sentence = (
            f"{found.column} has fewer than two groups of at least {policy.min_rows:,} rows, so none are compared"
        )
        return Reason("fairness", passed=True, value=None, limit=policy.demographic_parity, sentence=sentence)
    bounds = lower_bounds(found, policy)
    rules = (
        ("selection rates", found.demographic_parity, bounds[0], policy.demographic_parity),
        ("true or false positive rates", found.equalized_odds, bounds[1], policy.equalized_odds),
    )
    failed = [one for one in rules if one[3] is not None and one[2] > one[3]]
    told = ", ".join(
        f"{what} differ by up to {value:.3g}, beyond chance by {bound:.3g} "
        f"({'no limit is set' if limit is None else f'limit {limit:g}'})"
        for what, value, bound, limit in rules
    )
    _, value, _, limit = (failed or rules)[0]
    return Reason("fairness", not failed, value, limit, f"between groups of {found.column}, {told}")


def lower_bounds(found: Fairness, policy: FairnessPolicy) -> tuple[float, float]:
    """Computes how large the largest differences between groups are at least.

    Args:
        found: The rates of each group.
        policy: For the fewest rows of a group and the significance.

    Returns:
        The simultaneous lower bound for the selection rates, and for the true and false positive rates; at least 0. The
        differences themselves in records of releases that did not keep the numbers of positive rows.
    """
    groups = [group for group in found.groups if group.rows >= policy.min_rows]
    if any(group.positives is None for group in groups):
        return found.demographic_parity or 0.0, found.equalized_odds or 0.0
    rates: list[list[tuple[float | None, int]]] = [
        [(group.selected, group.rows) for group in groups],
        [(group.true_positive, group.positives or 0) for group in groups],
        [(group.false_positive, group.rows - (group.positives or 0)) for group in groups],
    ]
    comparisons = len(rates) * len(groups) * (len(groups) - 1) / 2
    quantile = NormalDist().inv_cdf(1 - policy.significance / comparisons / 2)
    parity, true, false = (_largest_bound(each, quantile) for each in rates)
    return parity, max(true, false)


def _largest_bound(rates: list[tuple[float | None, int]], quantile: float) -> float:
    known = [(rate, count) for rate, count in rates if rate is not None]
    return max((_difference_bound(*one, *other, quantile) for one, other in combinations(known, 2)), default=0.0)


def _difference_bound(one: float, ones: int, other: float, others: int, quantile: float) -> float:
    """Bounds the absolute difference of two shares from below, with one more case of each kind in both groups."""
    first, second = ((rate * count + 1) / (count + 2) for rate, count in ((one, ones), (other, others)))
    variance = first * (1 - first) / (ones + 2) + second * (1 - second) / (others + 2)
    return max(0.0, abs(first - second) - quantile * math.sqrt(variance))


def _group(name: str, selected: np.ndarray[Any, Any], positive_rows: np.ndarray[Any, Any]) -> Group:
    true, false = (float(selected[of].mean()) if of.any() else None for of in (positive_rows, ~positive_rows))
    return Group(name, len(selected), float(selected.mean()), true, false, int(positive_rows.sum()))


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
