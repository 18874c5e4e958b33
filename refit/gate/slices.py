"""Whether a challenger is worse for some of the rows while it is as good for all of them.

How rows are cut into slices: by category, by what is missing, by time of day, and by what the project names.
"""

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

MOST_BLOCKS = 20
"""The most blocks of a slice, so that its record stays small."""
BLOCK_ROWS = 20
"""The rows a slice's block should have at least, where that leaves enough blocks."""
NONE_LARGE = "no slice has enough rows and event times to be judged by itself"


def paired_losses(one: Predictions, other: Predictions, truth: pd.Series[Any]) -> tuple[Array, Array]:
    """Gives each row's loss for two models, by the same measure for both.

    Args:
        one: A model's answers.
        other: Another's answers to the same rows.
        truth: The labels.

    Returns:
        The losses of both: by probabilities where both give them.
    """
    both = hasattr(one, "predict_proba") and hasattr(other, "predict_proba")
    return row_losses(one, truth, probabilities=both), row_losses(other, truth, probabilities=both)


def row_losses(predictions: Predictions, truth: pd.Series[Any], *, probabilities: bool = True) -> Array:
    """Gives each row's loss: the squared error of probabilities (Brier 1950), or the absolute error.

    Args:
        predictions: A model's answers.
        truth: The labels.
        probabilities: Whether probabilities are looked at where there are some.

    Returns:
        One loss a row: for classes between 0 and 2, or 0 and 1 where there are no probabilities; else in the target's
        unit.
    """
    if not predictions.labels:
        distances: Array = np.abs(predictions.compute("predict").astype(float) - truth.to_numpy(dtype=float))
        return distances
    if not probabilities or not hasattr(predictions, "predict_proba"):
        wrong: Array = (predictions.compute_raw("predict") != truth.to_numpy()).astype(float)
        return wrong
    said = predictions.compute("predict_proba")
    place = pd.Index(predictions.labels, dtype=object).get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    came = np.zeros_like(said)
    known = place >= 0
    came[known, place[known]] = 1.0
    losses: Array = ((said - came) ** 2).sum(axis=1)
    return losses


def measure_slices(
    slices: dict[str, Positions], challenger: Array, other: Array, *, times: pd.Series[Any] | None = None
) -> tuple[Slice, ...]:
    """Compares two models within each slice.

    Args:
        slices: From `cut`, of rows in the order of their event times.
        challenger: Its loss for each row.
        other: The champion's loss for each row; a trivial model's where there is no champion.
        times: The event times of the rows, which keep those of one time in one block: they err alike. Without, each row
            is taken for a time of its own.

    Returns:
        One comparison for each slice.
    """
    begins = np.ones(len(other), bool) if times is None else ~times.duplicated().to_numpy()
    moments = np.cumsum(begins)
    return tuple(_slice(name, challenger[at], other[at], moments[at]) for name, at in slices.items())


def check_slices(found: tuple[Slice, ...], policy: GatePolicy, *, with_champion: bool) -> Reason:
    """Asks for a challenger that is in no slice both significantly and noticeably worse.

    A paired one-sided Student t test over blocks of the slice's own rows, corrected for their number (Holm 1979).

    Args:
        found: The comparisons; those of fewer than five blocks of time are not judged.
        policy: For the error budget and the rise of the loss that is noticeable.
        with_champion: Whether the other model is the champion, or a trivial one.

    Returns:
        One reason for all slices; its value is the largest rise of a loss as a share, among the failed ones where there
        are some: a rise above the limit passes where chance explains it.
    """
    found = tuple(one for one in found if len(one.gains) >= MIN_BLOCKS)
    if not found:
        return Reason("slices", passed=True, value=None, limit=policy.slice_loss, sentence=NONE_LARGE)
    worse = [one for one in _significant(found, SLICES_SHARE * policy.significance) if _rise(one) > policy.slice_loss]
    rival = "the champion" if with_champion else "a trivial model"
    worst = max(found, key=_rise)
    if not worse:
        rises = f"the loss rises most, by {_rise(worst):+.1%}, where {worst.name}"
        sentence = (
            f"in none of {len(found)} slices significantly worse than {rival} by more than {policy.slice_loss:.0%}; "
            f"{rises if _rise(worst) > 0 else 'the loss is lower in all of them'}"
        )
        return _reason(worst, policy, sentence)
    told = "; ".join(
        f"by {_rise(one):+.1%} where {one.name} ({one.rows:,} rows)" for one in sorted(worse, key=_rise, reverse=True)
    )
    sentence = f"the loss is significantly higher than that of {rival} in {len(worse)} of {len(found)} slices: {told}"
    return _reason(max(worse, key=_rise), policy, sentence, passed=False)


def _reason(worst: Slice, policy: GatePolicy, sentence: str, *, passed: bool = True) -> Reason:
    return Reason("slices", passed, finite_or_none(_rise(worst)), policy.slice_loss, sentence)


def _slice(name: str, challenger: Array, other: Array, moments: npt.NDArray[np.int_]) -> Slice:
    """Averages the gains in blocks of about as many rows, cut where a new event time begins."""
    rows = len(other)
    count = min(MOST_BLOCKS, max(MIN_BLOCKS, rows // BLOCK_ROWS))
    edges = np.append(np.flatnonzero(np.diff(moments, prepend=-1)), rows)
    wanted = np.linspace(0, rows, count + 1)
    borders = np.unique(edges[np.abs(edges[:, None] - wanted).argmin(axis=0)])
    parts = np.split(other - challenger, borders[1:-1])
    gains = tuple(float(f"{part.mean():.9g}") for part in parts)
    return Slice(name, rows, float(challenger.mean()), float(other.mean()), gains)


def _rise(one: Slice) -> float:
    if one.other <= 0:
        return 0.0 if one.challenger <= 0 else float("inf")
    return one.challenger / one.other - 1


def _significant(found: tuple[Slice, ...], significance: float) -> list[Slice]:
    """Picks the slices that are significantly worse, by Holm's step-down procedure."""
    certain = holm([_chance(one) for one in found], significance)
    return [one for one, sure in zip(found, certain, strict=True) if sure]


def _chance(one: Slice) -> float:
    """Gives the chance of so low a mean gain without a difference, by Student's t."""
    gains = np.asarray(one.gains)
    spread = gains.std(ddof=1) / np.sqrt(len(gains))
    if spread <= 0:
        return 0.0 if gains.mean() < 0 else 1.0
    return float(stats.t.cdf(gains.mean() / spread, len(gains) - 1))


Positions = npt.NDArray[np.intp]

TIME_OF_DAY = "time of day"
MOST_CATEGORIES = 20
"""A column with more different values is no way to cut the rows, unless the project names it."""
MOST_SLICES = 40
"""The largest slices; more would only make each test less certain."""
QUARTERS = 4
MISSING = "missing"


def cut_slices(definition: Project, rows: pd.DataFrame) -> dict[str, Positions]:
    """Cuts rows into slices: by category, by what is missing, by time of day, or by what the project names.

    Args:
        definition: The project, whose `gate.slices` names columns; by default its features of few categories, and the
            missing values of all of them.
        rows: The holdout's rows with all columns.

    Returns:
        The positions of each slice's rows by the slice's name, the largest first; those with too few rows are left out.

    Raises:
        ProjectError: If a column that is named is not there.
    """
    policy, found = definition.gate, dict[str, Positions]()
    for name, values in _columns(definition, rows).items():
        for code, value in enumerate(values.cat.categories):
            found[f"{name} = {value}"] = np.flatnonzero(values.cat.codes == code)
    kept = {name: places for name, places in found.items() if policy.slice_rows <= len(places) < len(rows)}
    return dict(sorted(kept.items(), key=lambda one: -len(one[1]))[:MOST_SLICES])


def _columns(definition: Project, rows: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Gives each row the names of its slices, one column a way to cut."""
    wanted, times = definition.gate.slices, {TIME_OF_DAY: _times_of_day(rows[definition.timestamp])}
    if wanted is None:
        features = [name for name in definition.features_of(rows.columns) if name in rows.columns]
        return {name: (_values if _is_category(rows[name]) else _missing)(rows[name]) for name in features} | times
    unknown = [name for name in wanted if name not in rows.columns and name != TIME_OF_DAY]
    if unknown:
        known = ", ".join(map(str, rows.columns))
        raise ProjectError(f"gate.slices names {unknown[0]!r}, which is no column: use one of {known}, {TIME_OF_DAY}")
    return {name: _values(rows[name]) if name in rows.columns else times[name] for name in wanted}


def _is_category(column: pd.Series[Any]) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    return column.nunique(dropna=False) <= MOST_CATEGORIES


def _values(column: pd.Series[Any]) -> pd.Series[Any]:
    """Gives each row the name of its slice: the category, or the quarter of a number."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.nunique() > MOST_CATEGORIES:
        column = pd.qcut(column.astype(float).replace([np.inf, -np.inf], np.nan), QUARTERS, duplicates="drop")
    named: pd.Series[Any] = column.astype(object).map(str).where(column.notna(), MISSING)
    return named.astype("category")


def _missing(column: pd.Series[Any]) -> pd.Series[Any]:
    named: pd.Series[Any] = column.isna().map({True: MISSING, False: None})
    return named.astype("category")


def _times_of_day(times: pd.Series[Any]) -> pd.Series[Any]:
    hours = times.dt.hour // (24 // QUARTERS) * (24 // QUARTERS)
    named: pd.Series[Any] = hours.map(lambda hour: f"{hour:02d} to {hour + 24 // QUARTERS:02d} h UTC")
    return named.astype("category")
