"""Slices of the holdout by category, missing values and time of day, and the rule that none may get worse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.data.split import MIN_BLOCKS
from refit.drift.alarms import holm
from refit.errors import ProjectError
from refit.gate.evidence import Slice
from refit.modelling.paired_difference import compare_contributions
from refit.modelling.predictions import Predictions
from refit.modelling.row_contributions import contribute_rows
from refit.modelling.scoring import loss
from refit.policies.gate import SLICES_SHARE, GatePolicy
from refit.project import Project
from refit.records.verdicts import Reason, finite_or_none

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


def measure_slices(
    slices: dict[str, Positions],
    metric: str,
    models: tuple[Predictions, Predictions],
    truth: pd.Series[Any],
    times: pd.Series[Any],
) -> tuple[Slice, ...]:
    """Compares two models within each slice by the project's metric.

    Args:
        slices: From `cut_slices`, of rows sorted by event time.
        metric: The scorer's name.
        models: The predictions of the challenger and of the champion; of a trivial model without a champion.
        truth: The labels, none missing.
        times: The event times of the rows. Rows of one time stay in one block, since their errors are alike.

    Returns:
        One comparison for each slice.

    Raises:
        ModelError: If a model cannot predict these rows, or lacks the method that the metric needs.
    """
    ticks = np.cumsum(~times.duplicated().to_numpy())
    return tuple(
        _measure_slice(name, metric, [model.take(at) for model in models], truth.iloc[at], _cut_blocks(ticks[at]))
        for name, at in slices.items()
    )


def check_slices(found: tuple[Slice, ...], policy: GatePolicy, *, with_champion: bool) -> Reason:
    """Requires a challenger that is in no slice both significantly and noticeably worse than the champion.

    Without a champion nothing serves, so a first one that is better than a trivial model on all rows is not rejected
    for a slice where it is not; the slice is named as a warning. Records of former releases keep their verdict.

    A paired one-sided Student t test over blocks of the slice's own rows, corrected for their number (Holm 1979).

    Args:
        found: The comparisons; those of fewer than five blocks of time are not tested.
        policy: For the error budget and the smallest noticeable increase of the loss.
        with_champion: Whether the other model is the champion, or a trivial one.

    Returns:
        One reason for all slices. Its value is the largest relative increase of the loss, among the failed slices if
        there are any: an insignificant increase above the limit passes.
    """
    tested = tuple(one for one in found if len(one.gains) >= MIN_BLOCKS)
    if not tested:
        sentence = NONE_LARGE + _describe_undefined(found)
        return Reason("slices", passed=True, value=None, limit=policy.slice_loss, sentence=sentence)
    worse = [
        one for one in _significant(tested, SLICES_SHARE * policy.significance) if _increase(one) > policy.slice_loss
    ]
    rival = "the champion" if with_champion else "a trivial model"
    if not worse:
        worst = max(tested, key=_increase)
        return _reason(worst, policy, _describe_none_worse(tested, worst, rival, policy) + _describe_undefined(found))
    sentence = _describe_worse(tested, worse, rival) + _describe_undefined(found)
    worst = max(worse, key=_increase)
    if with_champion or not worst.metric:
        return _reason(worst, policy, sentence, passed=False)
    return _reason(worst, policy, f"warning, as nothing would serve without a first champion: {sentence}")


def _describe_none_worse(tested: tuple[Slice, ...], worst: Slice, rival: str, policy: GatePolicy) -> str:
    largest = f"its loss increases most where {worst.name}, by {_increase(worst):.1%}"
    return (
        f"in none of {len(tested)} slices is its loss significantly higher than that of {rival} by more than "
        f"{policy.slice_loss:.0%}; "
        f"{largest if _increase(worst) > 0 else 'its loss increases in none of them'}"
    )


def _describe_worse(tested: tuple[Slice, ...], worse: list[Slice], rival: str) -> str:
    told = "; ".join(
        f"by {_increase(one):.1%} where {one.name} ({one.rows:,} rows)"
        for one in sorted(worse, key=_increase, reverse=True)
    )
    return f"its loss is significantly higher than that of {rival} in {len(worse)} of {len(tested)} slices: {told}"


def _describe_undefined(found: tuple[Slice, ...]) -> str:
    left_out = [one for one in found if one.undefined]
    if not left_out:
        return ""
    count = "1 slice is" if len(left_out) == 1 else f"{len(left_out)} slices are"
    return f"; {count} not tested, such as where {left_out[0].name}: {left_out[0].undefined}"


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


def _measure_slice(
    name: str, metric: str, models: list[Predictions], truth: pd.Series[Any], blocks: list[slice]
) -> Slice:
    sides = [contribute_rows(metric, model, truth, blocks) for model in models]
    defined = [side for side in sides if not isinstance(side, str)]
    if len(defined) < len(sides):
        why = next(side for side in sides if isinstance(side, str))
        return Slice(name, len(truth), 0.0, 0.0, (), metric, undefined=why)
    pairs = compare_contributions(*(side.sum_blocks(blocks) for side in defined), scattered=True)
    losses = [loss(metric, float(side.values.mean())) for side in defined]
    gains = tuple(float(f"{gain:.9g}") for gain in pairs.blocks)
    return Slice(name, len(truth), losses[0], losses[1], gains, metric, pairs.error, pairs.freedom)


def _cut_blocks(ticks: npt.NDArray[Any]) -> list[slice]:
    """Cuts rows into blocks of about equally many, which begin at a new event time."""
    rows = len(ticks)
    count = min(MOST_BLOCKS, max(MIN_BLOCKS, rows // BLOCK_ROWS))
    edges = np.append(np.flatnonzero(np.diff(ticks, prepend=-1)), rows)
    wanted = np.linspace(0, rows, count + 1)
    borders = np.unique(edges[np.abs(edges[:, None] - wanted).argmin(axis=0)]).tolist()
    return [slice(start, stop) for start, stop in pairwise(borders)]


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
    mean, freedom = float(gains.mean()), len(gains) - 1.0
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    if one.error is not None and one.freedom is not None:
        mean, error, freedom = one.other - one.challenger, one.error, one.freedom
    if error <= 0:
        return 0.0 if mean < 0 else 1.0
    return float(stats.t.cdf(mean / error, freedom))


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
