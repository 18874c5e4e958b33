"""Whether a challenger is worse for some of the rows while it is as good for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.blocks import MIN_BLOCKS
from refit.errors import ProjectError
from refit.gate.evidence import Slice
from refit.gate.policies import GatePolicy
from refit.gate.spending import SLICES
from refit.gate.words import number
from refit.predictions import Predictions
from refit.project import Project
from refit.verdicts import Reason

Positions = npt.NDArray[np.intp]
Array = npt.NDArray[np.float64]

TIME_OF_DAY = "time of day"
MOST_CATEGORIES = 20
"""A column with more different values is no way to cut the rows."""
MOST_SLICES = 40
"""The largest slices; more would only make each test less certain."""
MOST_BLOCKS = 20
"""The most blocks of a slice, so that its record stays small."""
QUARTERS = 4
MISSING = "missing"
NONE_LARGE = "no slice has enough rows to be judged by itself"


def cut(definition: Project, rows: pd.DataFrame) -> dict[str, Positions]:
    """Cuts rows into slices: by category, by time of day, and by what the project names.

    Args:
        definition: The project, whose `gate.slices` names columns; by default its features of few categories.
        rows: The holdout's rows with all columns.

    Returns:
        The positions of each slice's rows by the slice's name, the largest first; those with too few rows are left out.

    Raises:
        ProjectError: If a column that is named is not there.
    """
    policy, found = definition.gate, dict[str, Positions]()
    for name in _columns(definition, rows):
        values = _times_of_day(rows[definition.timestamp]) if name == TIME_OF_DAY else _values(rows[name])
        for value in values.unique():
            found[f"{name} = {value}"] = np.flatnonzero(values.to_numpy() == value)
    kept = {name: places for name, places in found.items() if policy.slice_rows <= len(places) < len(rows)}
    return dict(sorted(kept.items(), key=lambda one: -len(one[1]))[:MOST_SLICES])


def row_losses(predictions: Predictions, truth: pd.Series[Any]) -> Array:
    """Gives each row's loss: the squared error of probabilities (Brier 1950), or the absolute error.

    Args:
        predictions: A model's answers.
        truth: The labels.

    Returns:
        One loss a row: for classes between 0 and 2, or 0 and 1 where there are no probabilities; else in the target's
        unit.
    """
    if not predictions.labels:
        distances: Array = np.abs(predictions.all_of("predict").astype(float) - truth.to_numpy(dtype=float))
        return distances
    if not hasattr(predictions, "predict_proba"):
        wrong: Array = (predictions.raw("predict") != truth.to_numpy()).astype(float)
        return wrong
    said = predictions.all_of("predict_proba")
    place = pd.Index(predictions.labels, dtype=object).get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    came = np.zeros_like(said)
    known = place >= 0
    came[known, place[known]] = 1.0
    losses: Array = ((said - came) ** 2).sum(axis=1)
    return losses


def measure(slices: dict[str, Positions], challenger: Array, other: Array) -> tuple[Slice, ...]:
    """Compares two models within each slice.

    Args:
        slices: From `cut`, of rows in the order of their event times.
        challenger: Its loss for each row.
        other: The champion's loss for each row; a trivial model's where there is no champion.

    Returns:
        One comparison for each slice.
    """
    return tuple(_slice(name, challenger[places], other[places]) for name, places in slices.items())


def slices_not_worse(found: tuple[Slice, ...], policy: GatePolicy, *, with_champion: bool) -> Reason:
    """Asks for a challenger that is in no slice both significantly and noticeably worse.

    A paired one-sided Student t test over blocks of the slice's own rows, corrected for their number (Holm 1979).

    Args:
        found: The comparisons.
        policy: For the error budget and the rise of the loss that is noticeable.
        with_champion: Whether the other model is the champion, or a trivial one.

    Returns:
        One reason for all slices; its value is the largest rise of a loss among those that are significant, as a share.
    """
    if not found:
        return Reason("slices", passed=True, value=None, limit=policy.slice_loss, sentence=NONE_LARGE)
    worse = [one for one in _significant(found, SLICES * policy.significance) if _rise(one) > policy.slice_loss]
    rival = "the champion" if with_champion else "a trivial model"
    worst = max(found, key=_rise)
    if not worse:
        rises = f"the loss rises most, by {_rise(worst):+.1%}, where {worst.name}"
        sentence = (
            f"in none of {len(found)} slices significantly worse than {rival} by more than {policy.slice_loss:.0%}; "
            f"{rises if _rise(worst) > 0 else 'the loss is lower in all of them'}"
        )
        return _reason(worst, policy, sentence)
    told = "; ".join(f"by {_rise(one):+.1%} where {one.name} ({one.rows:,} rows)" for one in worse[:5])
    sentence = f"the loss is significantly higher than that of {rival} in {len(worse)} of {len(found)} slices: {told}"
    return _reason(max(worse, key=_rise), policy, sentence, passed=False)


def _reason(worst: Slice, policy: GatePolicy, sentence: str, *, passed: bool = True) -> Reason:
    return Reason("slices", passed, number(_rise(worst)), policy.slice_loss, sentence)


def _columns(definition: Project, rows: pd.DataFrame) -> list[str]:
    wanted = definition.gate.slices
    if wanted is None:
        features = [name for name in definition.features_of(rows.columns) if name in rows.columns]
        return [*(name for name in features if _is_category(rows[name])), TIME_OF_DAY]
    unknown = [name for name in wanted if name not in rows.columns and name != TIME_OF_DAY]
    if unknown:
        known = ", ".join(map(str, rows.columns))
        raise ProjectError(f"gate.slices names {unknown[0]!r}, which is no column: use one of {known}, {TIME_OF_DAY}")
    return list(wanted)


def _is_category(column: pd.Series[Any]) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    return column.nunique(dropna=False) <= MOST_CATEGORIES


def _values(column: pd.Series[Any]) -> pd.Series[Any]:
    """Gives each row the name of its slice: the category, or the quarter of a number."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.nunique() > MOST_CATEGORIES:
        quarters = pd.qcut(column.astype(float), QUARTERS, duplicates="drop")
        return quarters.astype(str).where(column.notna(), MISSING)
    return column.astype(str).where(column.notna(), MISSING)


def _times_of_day(times: pd.Series[Any]) -> pd.Series[Any]:
    hours = times.dt.hour // (24 // QUARTERS) * (24 // QUARTERS)
    named: pd.Series[Any] = hours.map(lambda hour: f"{hour:02d} to {hour + 24 // QUARTERS:02d} h UTC")
    return named


def _slice(name: str, challenger: Array, other: Array) -> Slice:
    gains = [float(f"{part.mean():.9g}") for part in np.array_split(other - challenger, _blocks(len(other)))]
    return Slice(name, len(other), float(challenger.mean()), float(other.mean()), tuple(gains))


def _blocks(rows: int) -> int:
    return int(min(MOST_BLOCKS, max(MIN_BLOCKS, rows // 20)))


def _rise(one: Slice) -> float:
    if one.other <= 0:
        return 0.0 if one.challenger <= 0 else float("inf")
    return one.challenger / one.other - 1


def _significant(found: tuple[Slice, ...], significance: float) -> list[Slice]:
    """Picks the slices that are significantly worse, the surest first, by Holm's step-down procedure."""
    ordered = sorted(((_chance(one), place) for place, one in enumerate(found)))
    picked = list[Slice]()
    for step, (chance, place) in enumerate(ordered):
        if chance > significance / (len(found) - step):
            break
        picked.append(found[place])
    return picked


def _chance(one: Slice) -> float:
    """Gives the chance of so low a mean gain without a difference, by Student's t."""
    gains = np.asarray(one.gains)
    spread = gains.std(ddof=1) / np.sqrt(len(gains))
    if spread <= 0:
        return 0.0 if gains.mean() < 0 else 1.0
    return float(stats.t.cdf(gains.mean() / spread, len(gains) - 1))
