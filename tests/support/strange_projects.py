"""Seeded strange projects: what people's tables, loads, estimators and policies may be, one of each drawn by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from great_expectations.expectations import ExpectColumnValuesToBeBetween, ExpectTableRowCountToBeBetween
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from refit import Project, Window

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
"""The time of the check and of the first retrain."""
Draw = np.random.Generator
Cells = Callable[[Draw, int], Any]


def strange_project(seed: int) -> Project:
    """Draws a project.

    Args:
        seed: The same seed gives the same project and rows.

    Returns:
        A project in memory, whose load gives a few hundred rows.
    """
    draw = np.random.default_rng([77, seed])
    kind = str(draw.choice(["regression", "classification"]))
    rows, key = _draw_rows(draw, kind)
    return Project(
        name=f"strange_{seed}",
        kind=kind,  # type: ignore[arg-type]
        target="y",
        timestamp="at",
        key=key,
        load=_draw_load(draw, rows),
        build=_draw_estimator(draw, kind),
        expectations=_often(draw, None, EXPECTATIONS),
        label_delay=_often(draw, timedelta(0), [timedelta(hours=5), timedelta(days=2), timedelta(days=300)]),
        gate={"metric": _often(draw, None, METRICS[kind], 0.3), "min_rows": _often(draw, 50, [10, 150])},
        training={
            "window": _often(draw, "all", ["auto", timedelta(days=4), timedelta(minutes=5)], 0.2),
            "refit": bool(draw.random() < 0.3),
            "min_rows": _often(draw, 100, [20, 400]),
        },
        contract=_often(draw, {}, [{"quarantine_limit": 0.5}, {"min_rows": 450}, {"freshness": timedelta(hours=2)}]),
        ingestion={"lateness": _often(draw, timedelta(days=1), [timedelta(0), timedelta(hours=2)])},
    )


def _often(draw: Draw, usual: Any, others: list[Any], share: float = 0.05) -> Any:
    """Draws the usual value, or one of the others with the given chance."""
    return others[draw.integers(len(others))] if draw.random() < share else usual


def _draw_rows(draw: Draw, kind: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    count = int(_often(draw, 400, [30, 140, 800]))
    at = pd.date_range(end=AS_OF - timedelta(minutes=30), periods=count, freq="1h")
    x = draw.normal(size=count)
    key = _often(draw, "integers", list(KEYS), 0.3)
    columns = {"id": KEYS[key](draw, count), "at": TIMES[_often(draw, "utc", list(TIMES), 0.25)](draw, at), "x": x}
    names = list(FEATURES) if draw.random() < 0.15 else [name for name in FEATURES if name not in UNFIT]
    for name in draw.choice(names, draw.integers(0, 4), replace=False):
        columns[NAMES.get(str(name), str(name))] = FEATURES[str(name)](draw, count)
    score = x + 0.3 * draw.normal(size=count)
    targets = NUMBERS if kind == "regression" else CLASSES
    columns["y"] = targets[_often(draw, "plain", list(targets), 0.35)](draw, score)
    rows = pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()})
    rows = SPOILT[_often(draw, "nothing", list(SPOILT), 0.15)](draw, rows)
    return rows, () if key == "none" else ("id",)


def _ids(name: str) -> Cells:
    made: dict[str, Cells] = {
        "none": lambda _, n: np.arange(n),
        "integers": lambda _, n: np.arange(n) + 10_000,
        "texts": lambda _, n: [f"{i:09d}" for i in range(n)],
        "decimals": lambda _, n: [Decimal(2**53 + i) for i in range(n)],
        "floats": lambda _, n: np.arange(n, dtype="float64") + 2.0**53,
        "repeated": lambda _, n: np.arange(n) // 2,
        "gaps": lambda _, n: pd.array([None if i % 3 == 0 else i for i in range(n)], "Int64"),
        "categories": lambda _, n: pd.Categorical([f"k{i}" for i in range(n)]),
    }
    return made[name]


KEY_NAMES = ("none", "integers", "texts", "decimals", "floats", "repeated", "gaps", "categories")
KEYS = {name: _ids(name) for name in KEY_NAMES}
TIMES: dict[str, Callable[[Draw, pd.DatetimeIndex], Any]] = {
    "utc": lambda _, at: at,
    "berlin": lambda _, at: at.tz_convert("Europe/Berlin"),
    "texts": lambda _, at: [str(one) for one in at],
    "naive": lambda _, at: at.tz_localize(None),
    "unreadable": lambda draw, at: [one.strftime("%d/%m/%y") if draw.random() < 0.2 else str(one) for one in at],
    "a few unreadable": lambda draw, at: ["soon" if draw.random() < 0.01 else str(one) for one in at],
    "one": lambda _, at: [at[0]] * len(at),
    "future": lambda _, at: at + timedelta(days=10),
    "numbers": lambda _, at: at.as_unit("s").astype("int64"),
}
FEATURES: dict[str, Cells] = {
    "gaps": lambda draw, n: np.where(draw.random(n) < 0.3, np.nan, draw.normal(size=n)),
    "never": lambda _, n: [None] * n,
    "never a number": lambda _, n: np.full(n, np.nan),
    "late": lambda draw, n: np.where(np.arange(n) < 0.9 * n, np.nan, draw.normal(size=n)),
    "words": lambda draw, n: draw.choice(["red", "green", "blue"], n),
    "words with gaps": lambda draw, n: np.where(draw.random(n) < 0.2, None, draw.choice(["a", "b"], n)),
    "category": lambda draw, n: pd.Categorical(draw.choice(["s", "m", "l"], n)),
    "flags": lambda draw, n: draw.random(n) < 0.5,
    "flags with gaps": lambda draw, n: pd.array(np.where(draw.random(n) < 0.2, None, draw.random(n) < 0.5), "boolean"),
    "whole": lambda draw, n: pd.array(draw.integers(0, 9, n), "Int32"),
    "huge": lambda draw, n: draw.integers(2**60, 2**62, n),
    "decimal": lambda draw, n: [Decimal(int(cell)) / 4 for cell in draw.integers(0, 99, n)],
    "day": lambda _, n: pd.date_range("2020-01-01", periods=n, freq="1D"),
    "span": lambda _, n: pd.to_timedelta(np.arange(n), unit="min"),
    "list": lambda _, n: [[1, 2]] * n,
    "constant": lambda _, n: np.ones(n),
    "infinite": lambda draw, n: np.where(draw.random(n) < 0.1, np.inf, 1.0),
    "mixed": lambda draw, n: [3 if draw.random() < 0.5 else "three" for _ in range(n)],
}
UNFIT = ("span", "list", "infinite")
"""Columns that no table takes."""
NAMES = {"gaps": "a b", "whole": "[x] <y", "constant": "größe", "flags": "1"}
"""Odd names of some columns."""
CLASSES: dict[str, Cells] = {
    "plain": lambda _, score: (score > 0).astype("int64"),
    "words": lambda _, score: np.where(score > 0, "won", "lost"),
    "flags": lambda _, score: score > 0,
    "three": lambda _, score: np.array(["low", "mid", "top"])[np.digitize(score, [-0.5, 0.5])],
    "floats": lambda _, score: np.where(score > 0, 1.0, 0.0),
    "one": lambda _, score: np.ones(len(score), "int64"),
    "unlabelled": lambda draw, score: np.where(draw.random(len(score)) < 0.3, None, np.where(score > 0, "b", "a")),
    "rare": lambda _, score: (np.arange(len(score)) == len(score) // 2).astype("int64"),
    "late": lambda _, score: ((score > 0) & (np.arange(len(score)) > 0.85 * len(score))).astype("int64"),
}  # type: ignore[dict-item]
NUMBERS: dict[str, Cells] = {
    "plain": lambda _, score: score,
    "whole": lambda _, score: np.round(score * 10).astype("int64"),
    "decimal": lambda _, score: [Decimal(int(one * 100)) / 100 for one in score],
    "one": lambda _, score: np.full(len(score), 7.0),
    "words": lambda _, score: [f"{one:.1f} km" for one in score],
    "unlabelled": lambda draw, score: np.where(draw.random(len(score)) < 0.3, np.nan, score),
    "never": lambda _, score: np.full(len(score), np.nan),
    "huge": lambda _, score: score * 1e300,
}  # type: ignore[dict-item]
SPOILT: dict[str, Callable[[Draw, pd.DataFrame], pd.DataFrame]] = {
    "nothing": lambda _, rows: rows,
    "shuffled": lambda draw, rows: rows.iloc[draw.permutation(len(rows))],
    "doubled": lambda _, rows: pd.concat([rows, rows.head(9)], ignore_index=True),
    "same names": lambda _, rows: rows.set_axis([*rows.columns[:-1], "x"], axis=1),
    "no target": lambda _, rows: rows.drop(columns="y"),
    "no rows": lambda _, rows: rows.head(0),
    "upper and lower": lambda _, rows: rows.assign(X=1),
}
METRICS = {
    "regression": ["r2", "neg_root_mean_squared_error", "neg_max_error", "neg_mean_poisson_deviance"],
    "classification": ["neg_log_loss", "average_precision", "f1", "precision", "neg_brier_score"],
}
EXPECTATIONS: list[Callable[[], list[Any]]] = [
    list,
    lambda: [ExpectColumnValuesToBeBetween(column="x", min_value=-9, max_value=9)],
    lambda: [ExpectColumnValuesToBeBetween(column="x", min_value=0)],
    lambda: [ExpectColumnValuesToBeBetween(column="z", min_value=0)],
    lambda: [ExpectTableRowCountToBeBetween(min_value=1_000)],
    lambda: 1 / 0,  # type: ignore[list-item, return-value]
]


def _tabular(last: BaseEstimator) -> BaseEstimator:
    """An estimator for columns of any kind."""
    words = make_column_selector(dtype_exclude=["number", "bool"])
    filled = SimpleImputer(keep_empty_features=True)
    known = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        make_column_transformer((filled, make_column_selector(dtype_include=["number", "bool"])), (known, words)), last
    )


def _halve(frame: Any) -> Any:
    return frame / 2


def _draw_estimator(draw: Draw, kind: str) -> Callable[[], BaseEstimator]:
    builders: list[Callable[[], BaseEstimator]] = ESTIMATORS[kind]
    return _often(draw, builders[0], builders, 0.5)


ESTIMATORS: dict[str, list[Callable[[], Any]]] = {
    "regression": [
        lambda: _tabular(LinearRegression()),
        LinearRegression,
        lambda: HistGradientBoostingRegressor(max_iter=3),
        lambda: _tabular(DecisionTreeRegressor(max_depth=2)),
        lambda: _tabular(KNeighborsRegressor()),
        DummyRegressor,
        lambda: make_pipeline(FunctionTransformer(_halve), LinearRegression()),
        lambda: make_pipeline(FunctionTransformer(np.log), LinearRegression()),
        lambda: LogisticRegression,
        lambda: LogisticRegression(C=-1),
    ],
    "classification": [
        lambda: _tabular(LogisticRegression()),
        LogisticRegression,
        lambda: HistGradientBoostingClassifier(max_iter=3),
        lambda: _tabular(DecisionTreeClassifier(max_depth=2)),
        lambda: _tabular(KNeighborsClassifier()),
        lambda: _tabular(LinearSVC()),
        lambda: _tabular(GaussianNB()),
        DummyClassifier,
        lambda: _tabular(LinearRegression()),
        lambda: 1 / 0,
    ],
}


def _draw_load(draw: Draw, rows: pd.DataFrame) -> Callable[[Window], Any]:
    chosen = LOADS[_often(draw, "frame", list(LOADS), 0.2)]
    return lambda window: chosen(rows, window)


def _cut(rows: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The rows of the window, with those whose time cannot be read or compared."""
    times = pd.to_datetime(rows["at"], utc=True, errors="coerce", format="ISO8601") if len(rows) else rows["at"]
    return rows[times.isna() | window.holds(times)] if len(rows) else rows


def _pieces(rows: pd.DataFrame, window: Window) -> Iterator[pd.DataFrame]:
    cut = _cut(rows, window)
    for start in range(0, len(cut), 150):
        yield cut.iloc[start : start + 150]
    yield cut.head(0)


def _table(rows: pd.DataFrame, window: Window) -> pa.Table:
    return pa.Table.from_pandas(_cut(rows, window), preserve_index=False)


def _lagged(rows: pd.DataFrame, window: Window) -> pd.DataFrame:
    cut = _cut(rows, window)
    return cut.assign(lag=cut["x"].shift(2) if "x" in cut and cut["x"].ndim == 1 else 0)


LOADS: dict[str, Callable[[pd.DataFrame, Window], Any]] = {
    "frame": _cut,
    "pieces": _pieces,
    "table": _table,
    "everything": lambda rows, _: rows,
    "lags": _lagged,
    "nothing": lambda _, __: None,
    "text": lambda _, __: "rows.csv",
    "mistake": lambda rows, _: rows["no such column"],
}
