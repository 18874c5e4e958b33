"""Retraining policies on real streams: the loss, the trainings, and the share of the possible gain that each captures.

Every table is replayed as a stream of 30 windows, and once more with its rows in another order of time: the same
features without any change of the world, in which only the growing number of rows is worth a retrain. Needs
`REFIT_REAL_DATA`, the directory of the real tables; takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import MonitoringPolicy, Project
from refit.backtest.policies import PRESETS, Preset, make_preset
from refit.backtest.replay import replay_history
from refit.backtest.results import BacktestResult
from refit.policies.monitoring import ProbePolicy

TARGETS: Mapping[str, str] = {
    "bank_marketing": "subscribed",
    "bike_sharing": "rentals",
    "elec2": "price_up",
    "employment_ma": "employed",
    "hotel_bookings": "is_canceled",
    "kddcup10": "attack",
    "metro_traffic": "traffic_volume",
    "noaa_weather": "target",
    "occupancy": "Occupancy",
    "seoul_bike": "rented",
}
"""The target of each table."""
REGRESSIONS = frozenset({"bike_sharing", "metro_traffic", "seoul_bike"})
MOST_ROWS = 30_000
"""The most rows of a stream; longer ones are thinned evenly."""
WINDOWS = 30
FORMER = make_preset(MonitoringPolicy(probe=ProbePolicy(gain=0.02, certainty=3.0, huge=0.2)))
"""The default policy until December 2026."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy did on one stream."""

    stream: str
    policy: str
    relative_loss: float
    """The mean loss divided by that of never retraining."""
    trainings: int


def main() -> None:
    """Prints a line for each stream and policy, and the means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("streams", nargs="*", metavar="STREAM", help="tables; all, if left out")
    parser.add_argument("--shuffled", action="store_true", help="replay the rows in another order of time")
    parser.add_argument("--policies", default="every_window,every_4th,former,default")
    options = parser.parse_args()
    if "REFIT_REAL_DATA" not in os.environ:
        sys.exit("the real tables are not given: name their directory in REFIT_REAL_DATA")
    presets = {name: FORMER if name == "former" else PRESETS[name] for name in options.policies.split(",")}
    rows = [row for name in options.streams or TARGETS for row in _replay(name, presets, shuffled=options.shuffled)]
    print_means(rows)


def _replay(name: str, presets: Mapping[str, Preset], *, shuffled: bool) -> list[Row]:
    frame = read_stream(name, shuffled=shuffled)
    result = replay_history(make_project(name), frame, presets, WINDOWS)
    rows = [Row(name, policy, one.relative_loss, one.trainings) for policy, one in result.policies.items()]
    _print_stream(result, rows)
    return rows


def read_stream(name: str, *, shuffled: bool) -> pd.DataFrame:
    """Reads a table as a stream.

    Args:
        name: The table.
        shuffled: Whether its rows are put into another order of time.

    Returns:
        At most 30,000 rows.
    """
    frame = pd.read_parquet(Path(os.environ["REFIT_REAL_DATA"]) / f"{name}.parquet").sort_values("observed_at")
    if len(frame) > MOST_ROWS:
        frame = frame.iloc[np.linspace(0, len(frame) - 1, MOST_ROWS).astype(int)]
    if shuffled:
        frame = frame.sample(frac=1, random_state=1).assign(observed_at=frame["observed_at"].to_numpy())
    times = pd.to_datetime(frame["observed_at"], utc=True).dt.as_unit("us")
    return frame.assign(observed_at=times).reset_index(drop=True)


def make_project(name: str) -> Project:
    """Defines the project of a table: gradient boosting on ordinal codes, and every policy at its default.

    Args:
        name: The table.

    Returns:
        The project.
    """
    regression = name in REGRESSIONS
    return Project(
        name=name,
        kind="regression" if regression else "classification",
        target=TARGETS[name],
        timestamp="observed_at",
        load=pd.DataFrame,
        build=partial(_build, regression=regression),
    )


def _build(*, regression: bool) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return make_pipeline(columns, kind(max_iter=50))


def _print_stream(result: BacktestResult, rows: list[Row]) -> None:
    figures = "  ".join(f"{row.policy} {row.relative_loss:.3f}/{row.trainings}" for row in rows)
    print(f"{result.project:16} {figures}", flush=True)


def print_means(rows: list[Row]) -> None:
    """Prints the mean over the streams for each policy, and the share of the gain of retraining always it captures.

    Args:
        rows: Of all streams.
    """
    table = pd.DataFrame([(row.policy, row.relative_loss, row.trainings) for row in rows]).groupby(0, sort=False).mean()
    best = table[1].get("every_window", np.nan)
    for policy, (relative, trainings) in table.iterrows():
        captured = (1 - relative) / (1 - best)
        print(f"{policy:16} {relative:.3f} of never, {trainings:.1f} trainings, {captured:.0%} captured")


if __name__ == "__main__":
    main()
