"""How rows are cut into slices: by category, by what is missing, by time of day, and by what the project names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.errors import ProjectError
from refit.project import Project

Positions = npt.NDArray[np.intp]

TIME_OF_DAY = "time of day"
MOST_CATEGORIES = 20
"""A column with more different values is no way to cut the rows, unless the project names it."""
MOST_SLICES = 40
"""The largest slices; more would only make each test less certain."""
QUARTERS = 4
MISSING = "missing"


def cut(definition: Project, rows: pd.DataFrame) -> dict[str, Positions]:
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
