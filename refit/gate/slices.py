"""Slices of the holdout by category, missing values and time of day, and the rule that none may get worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.data.split import MIN_BLOCKS
from refit.drift.alarms import holm
from refit.errors import ProjectError
from refit.gate.evidence import Slice
from refit.modelling.predictions import Predictions
from refit.policies.gate import SLICES_SHARE, GatePolicy
from refit.project import Project
from refit.records.verdicts import Reason, finite_or_none

Array = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]

MOST_BLOCKS = 20
"""The most blocks of a slice, which keeps its record small."""
BLOCK_ROWS = 20
"""The fewest rows of a block, if that leaves enough blocks."""
NONE_LARGE = "no slice has enough rows and event times for a test"
TIME_OF_DAY = "time of day"
MOST_CATEGORIES = 20
"""A column with more distinct values makes no slices, unless the project names it."""
MOST_SLICES = 40
"""The most slices; more would make each test less powerful."""
QUARTERS = 4
"""Parts of a day, and quantile groups of a column of numbers."""
MISSING = "missing"


def paired_losses(one: Predictions, other: Predictions, truth: pd.Series[Any]) -> tuple[Array, Array]:
    """Computes the loss of each row for two models, by the same measure for both.

    Args:
        one: One model's predictions.
        other: Another model's predictions of the same rows.
        truth: The labels.

    Returns:
        The losses of both; those of probabilities if both models give them.
    """
    both = hasattr(one, "predict_proba") and hasattr(other, "predict_proba")
    return row_losses(one, truth, probabilities=both), row_losses(other, truth, probabilities=both)


def row_losses(predictions: Predictions, truth: pd.Series[Any], *, probabilities: bool = True) -> Array:
    """Computes the loss of each row: the squared error of probabilities (Brier 1950), or the absolute error.

    Args:
        predictions: A model's predictions.
        truth: The labels.
        probabilities: Whether to use probabilities if the model gives them.

    Returns:
        One loss for each row: for classes 0 to 2, or 0 and 1 without probabilities; for a regression in the target's
        unit.
    """
    if not predictions.labels:
        distances: Array = np.abs(predictions.compute("predict").astype(float) - truth.to_numpy(dtype=float))
        return distances
    if not probabilities or not hasattr(predictions, "predict_proba"):
        wrong: Array = (predictions.compute_raw("predict") != truth.to_numpy()).astype(float)
        return wrong
    probabilities_of_classes = predictions.compute("predict_proba")
    place = pd.Index(predictions.labels, dtype=object).get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    one_hot = np.zeros_like(probabilities_of_classes)
    known = place >= 0
    one_hot[known, place[known]] = 1.0
    losses: Array = ((probabilities_of_classes - one_hot) ** 2).sum(axis=1)
    return losses


def measure_slices(
    slices: dict[str, Positions], challenger: Array, other: Array, *, times: pd.Series[Any] | None = None
) -> tuple[Slice, ...]:
    """Compares two models within each slice.

    Args:
        slices: From `cut_slices`, of rows sorted by event time.
        challenger: The challenger's loss for each row.
        other: The champion's loss for each row; a trivial model's without a champion.
        times: The event times of the rows. Rows of one time stay in one block, since their errors are alike; without
            times, each row is treated as a time of its own.

    Returns:
        One comparison for each slice.
    """
    begins = np.ones(len(other), bool) if times is None else ~times.duplicated().to_numpy()
    ticks = np.cumsum(begins)
    return tuple(_slice(name, challenger[at], other[at], ticks[at]) for name, at in slices.items())


def check_slices(found: tuple[Slice, ...], policy: GatePolicy, *, with_champion: bool) -> Reason:
    """Requires a challenger that is in no slice both significantly and noticeably worse.

    A paired one-sided Student t test over blocks of the slice's own rows, corrected for their number (Holm 1979).

    Args:
        found: The comparisons; those of fewer than five blocks of time are not tested.
        policy: For the error budget and the smallest noticeable increase of the loss.
        with_champion: Whether the other model is the champion, or a trivial one.

    Returns:
        One reason for all slices. Its value is the largest relative increase of the loss, among the failed slices if
        there are any: an insignificant increase above the limit passes.
    """
    found = tuple(one for one in found if len(one.gains) >= MIN_BLOCKS)
    if not found:
        return Reason("slices", passed=True, value=None, limit=policy.slice_loss, sentence=NONE_LARGE)
    worse = [
        one for one in _significant(found, SLICES_SHARE * policy.significance) if _increase(one) > policy.slice_loss
    ]
    rival = "the champion" if with_champion else "a trivial model"
    worst = max(found, key=_increase)
    if not worse:
        largest = f"its loss increases most where {worst.name}, by {_increase(worst):.1%}"
        sentence = (
            f"in none of {len(found)} slices is its loss significantly higher than that of {rival} by more than "
            f"{policy.slice_loss:.0%}; "
            f"{largest if _increase(worst) > 0 else 'its loss increases in none of them'}"
        )
        return _reason(worst, policy, sentence)
    told = "; ".join(
        f"by {_increase(one):.1%} where {one.name} ({one.rows:,} rows)"
        for one in sorted(worse, key=_increase, reverse=True)
    )
    sentence = f"its loss is significantly higher than that of {rival} in {len(worse)} of {len(found)} slices: {told}"
    return _reason(max(worse, key=_increase), policy, sentence, passed=False)


def cut_slices(definition: Project, rows: pd.DataFrame) -> dict[str, Positions]:
    """Cuts rows into slices by category, missing values and time of day, or by what the project names.

    Args:
        definition: The project, whose `gate.slices` names columns; by default its features with few categories, and
            the missing values of all features.
        rows: The holdout's rows with all columns.

    Returns:
        The positions of each slice's rows by the slice's name, the largest first, without those of too few rows.

    Raises:
        ProjectError: If a named column is missing.
    """
    policy, found = definition.gate, dict[str, Positions]()
    for name, values in _slice_names(definition, rows).items():
        for code, value in enumerate(values.cat.categories):
            found[f"{name} = {value}"] = np.flatnonzero(values.cat.codes == code)
    kept = {name: places for name, places in found.items() if policy.slice_rows <= len(places) < len(rows)}
    return dict(sorted(kept.items(), key=lambda one: -len(one[1]))[:MOST_SLICES])


def _reason(worst: Slice, policy: GatePolicy, sentence: str, *, passed: bool = True) -> Reason:
    return Reason("slices", passed, finite_or_none(_increase(worst)), policy.slice_loss, sentence)


def _slice(name: str, challenger: Array, other: Array, ticks: npt.NDArray[np.int_]) -> Slice:
    """Averages the gains in blocks of about equally many rows, which begin at a new event time."""
    rows = len(other)
    count = min(MOST_BLOCKS, max(MIN_BLOCKS, rows // BLOCK_ROWS))
    edges = np.append(np.flatnonzero(np.diff(ticks, prepend=-1)), rows)
    wanted = np.linspace(0, rows, count + 1)
    borders = np.unique(edges[np.abs(edges[:, None] - wanted).argmin(axis=0)])
    parts = np.split(other - challenger, borders[1:-1])
    gains = tuple(float(f"{part.mean():.9g}") for part in parts)
    return Slice(name, rows, float(challenger.mean()), float(other.mean()), gains)


def _increase(one: Slice) -> float:
    if one.other <= 0:
        return 0.0 if one.challenger <= 0 else float("inf")
    return one.challenger / one.other - 1


def _significant(found: tuple[Slice, ...], significance: float) -> list[Slice]:
    """Returns the slices that are significantly worse, by Holm's step-down procedure."""
    rejected = holm([_p_value(one) for one in found], significance)
    return [one for one, worse in zip(found, rejected, strict=True) if worse]


def _p_value(one: Slice) -> float:
    """Returns the p-value of so low a mean gain, by Student's t."""
    gains = np.asarray(one.gains)
    spread = gains.std(ddof=1) / np.sqrt(len(gains))
    if spread <= 0:
        return 0.0 if gains.mean() < 0 else 1.0
    return float(stats.t.cdf(gains.mean() / spread, len(gains) - 1))


def _slice_names(definition: Project, rows: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Names the slice of each row, in one series for each way to slice."""
    wanted, times = definition.gate.slices, {TIME_OF_DAY: _time_names(rows[definition.timestamp])}
    if wanted is None:
        features = [name for name in definition.features_of(rows.columns) if name in rows.columns]
        return {
            name: (_category_names if _is_category(rows[name]) else _missing_names)(rows[name]) for name in features
        } | times
    unknown = [name for name in wanted if name not in rows.columns and name != TIME_OF_DAY]
    if unknown:
        known = ", ".join(map(str, rows.columns))
        raise ProjectError(
            f"gate.slices names {unknown[0]!r}, which is not a column: use one of {known}, {TIME_OF_DAY}"
        )
    return {name: _category_names(rows[name]) if name in rows.columns else times[name] for name in wanted}


def _is_category(column: pd.Series[Any]) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    return column.nunique(dropna=False) <= MOST_CATEGORIES


def _category_names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Names the slice of each row: the category, or the quartile of a number."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.nunique() > MOST_CATEGORIES:
        column = pd.qcut(column.astype(float).replace([np.inf, -np.inf], np.nan), QUARTERS, duplicates="drop")
    named: pd.Series[Any] = column.astype(object).map(str).where(column.notna(), MISSING)
    return named.astype("category")


def _missing_names(column: pd.Series[Any]) -> pd.Series[Any]:
    named: pd.Series[Any] = column.isna().map({True: MISSING, False: None})
    return named.astype("category")


def _time_names(times: pd.Series[Any]) -> pd.Series[Any]:
    hours = times.dt.hour // (24 // QUARTERS) * (24 // QUARTERS)
    named: pd.Series[Any] = hours.map(lambda hour: f"{hour:02d} to {hour + 24 // QUARTERS:02d} h UTC")
    return named.astype("category")
