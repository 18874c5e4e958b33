"""Whether groups of people are treated alike: the same share of positive answers, and the same rates of errors."""

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
    """Counts how the rows of each group are treated.

    Demographic parity and equalised odds are Fairlearn's differences between groups (Hardt, Price and Srebro 2016,
    NeurIPS 29, for the latter), for each rate between the groups that have one.

    Args:
        policy: The sensitive column and the fewest rows of a group.
        predictions: What the challenger says.
        truth: The labels, of two classes.
        rows: The holdout's rows, with the sensitive column.

    Returns:
        The rates of each group, and the largest differences between those with enough rows.

    Raises:
        ProjectError: If the column is not there, or the target has not two classes.
    """
    if policy.column not in rows.columns:
        raise ProjectError(
            f"gate.fairness names the column {policy.column!r}, which is not among {', '.join(map(str, rows.columns))}"
        )
    if len(predictions.labels) != BINARY:
        raise ProjectError("gate.fairness needs a classification of two classes: take it out of the gate")
    positive = predictions.labels[1]
    said = predictions.compute_raw("predict") == positive
    came = (truth == positive).to_numpy()
    names = rows[policy.column].astype(str).where(rows[policy.column].notna(), MISSING).to_numpy()
    groups = tuple(_group(str(name), said[names == name], came[names == name]) for name in sorted(set(names)))
    large = np.isin(names, [group.name for group in groups if group.rows >= policy.min_rows])
    return Fairness(policy.column, groups, *_differences(came[large], said[large], names[large]))


def check_fairness(found: Fairness, policy: FairnessPolicy) -> Reason:
    """Asks for differences between groups within the limits.

    Args:
        found: The differences.
        policy: For the limits.

    Returns:
        The reason; value and limit are those of the rule that failed, else of demographic parity.
    """
    if found.demographic_parity is None or found.equalized_odds is None:
        sentence = f"{found.column} has fewer than two groups of at least {policy.min_rows:,} rows to compare"
        return Reason("fairness", passed=True, value=None, limit=policy.demographic_parity, sentence=sentence)
    rules = (
        ("shares of positive answers", found.demographic_parity, policy.demographic_parity),
        ("rates of true or false positives", found.equalized_odds, policy.equalized_odds),
    )
    failed = [one for one in rules if one[2] is not None and one[1] > one[2]]
    told = ", ".join(
        f"{what} differ by {value:.3g} ({'no limit is set' if limit is None else f'{limit:g} is allowed'})"
        for what, value, limit in rules
    )
    _, value, limit = (failed or rules)[0]
    return Reason("fairness", not failed, value, limit, f"between groups of {found.column}, {told}")


def _group(name: str, said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> Group:
    rates = [float(said[of].mean()) if of.any() else None for of in (came, ~came)]
    return Group(name, len(said), float(said.mean()), *rates)


def _differences(
    came: np.ndarray[Any, Any], said: np.ndarray[Any, Any], names: np.ndarray[Any, Any]
) -> tuple[float | None, float | None]:
    from fairlearn.metrics import (
        demographic_parity_difference,
        false_positive_rate_difference,
        true_positive_rate_difference,
    )

    if len(set(names)) <= 1:
        return None, None
    parity = demographic_parity_difference(came, said, sensitive_features=names)
    odds = [0.0]
    for difference, of in ((true_positive_rate_difference, came), (false_positive_rate_difference, ~came)):
        # A group without such rows has no such rate; Fairlearn takes it for 0, and would condemn a perfect model.
        having = np.isin(names, names[of])
        if having.any():
            odds.append(float(difference(came[having], said[having], sensitive_features=names[having])))
    return float(parity), max(odds)
