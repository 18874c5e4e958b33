"""Bike demand: how many bikes are rented at a station in the next hour.

The rows are made up, so that the project runs anywhere. Demand follows the hour, the day of the week, the season and
the weather; the count of an hour is known an hour after it has ended.
`REFIT_EXAMPLE_DRIFT=covariate@2026-04-01,concept@2026-05-01` switches on a heat wave (warmer and drier, people behave
as before) and a lasting change of habits (fewer commute, more ride late).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import Project, Schedule, Window
from refit.synthetic import Drift, Simulation, chosen, with_gaps

CATEGORIES = ["district", "weather", "weekday"]
NUMBERS = ["hour", "docks", "temperature", "humidity", "wind"]

STATIONS = 20
DISTRICTS = np.array(["centre", "harbour", "university", "suburb"], dtype=object)
POPULARITY = np.array([1.0, 0.7, 0.85, 0.4])
"""What share of its docks a district's station empties in an hour at the best of times."""
WEATHERS: dict[str | None, float] = {"clear": 0.45, "cloudy": 0.3, "rain": 0.17, "storm": 0.05, None: 0.03}
APPETITE = {"clear": 1.0, "cloudy": 0.85, "rain": 0.45, "storm": 0.15, None: 0.8}
"""How many ride in such weather, as a share of those who ride when it is clear."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKEND = ("Sat", "Sun")


def make_day(rng: np.random.Generator, day: datetime, drift: Drift) -> pd.DataFrame:
    """Makes one day's rows: every station at every full hour."""
    hours, stations = (part.ravel() for part in np.meshgrid(np.arange(24), np.arange(STATIONS), indexing="ij"))
    districts, docks = stations % len(DISTRICTS), 12 + stations * 7 % 19
    weekday = WEEKDAYS[day.weekday()]
    temperature, humidity, wind, weather = make_weather(rng, day, drift)
    mean = (
        POPULARITY[districts]
        * docks
        * habit(hours, weekend=weekday in WEEKEND, new=drift.moves_outcome(day))
        * comfort(temperature)[hours]
        * np.array([APPETITE[name] for name in weather])[hours]
    )
    columns = {
        "station_id": [f"S{station:02d}" for station in stations],
        "observed_at": pd.Timestamp(day) + pd.to_timedelta(hours, unit="h"),
        "district": DISTRICTS[districts],
        "docks": docks,
        "hour": hours,
        "weekday": weekday,
        "weather": weather[hours],
        "temperature": temperature[hours],
        "humidity": with_gaps(rng, humidity[hours], 0.04),
        "wind": with_gaps(rng, wind[hours], 0.02),
        "rentals": pd.array(rng.poisson(mean), dtype="Int64"),
    }
    return pd.DataFrame(columns).astype(dict.fromkeys(("station_id", *CATEGORIES), "str"))


def make_weather(
    rng: np.random.Generator, day: datetime, drift: Drift
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Makes a day's temperature (degrees Celsius), humidity (per cent), wind (km/h) and weather, by hour."""
    clock = np.arange(24)
    season = 11 - 11 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 20) / 365.25)
    temperature = season + 4 * np.sin(2 * np.pi * (clock - 9) / 24) + rng.normal(0, 3) + rng.normal(0, 0.7, 24)
    humidity = np.clip(70 - 0.8 * temperature + rng.normal(0, 8, 24), 15, 100)
    wind, weather = rng.gamma(3, 4, 24), np.repeat(chosen(rng, WEATHERS, 8), 3)
    if drift.moves_inputs(day):
        temperature, humidity = temperature + 9, humidity * 0.6
    return temperature.round(1), humidity.round(), wind.round(1), weather


def habit(hours: np.ndarray, *, weekend: bool, new: bool) -> np.ndarray:
    """When people ride: shares of the busiest hour, by the hour of the day."""

    def peak(at: float, width: float) -> np.ndarray:
        return np.exp(-(((hours - at) / width) ** 2))

    if new:
        return 0.05 + 0.25 * peak(8, 1.5) + 0.2 * peak(13, 4) + 0.9 * peak(21, 2.5)
    return 0.05 + (0.7 * peak(14, 4) if weekend else 0.9 * peak(8, 1.5) + 0.8 * peak(17.5, 2) + 0.2 * peak(13, 3))


def comfort(temperature: np.ndarray) -> np.ndarray:
    """How many ride at that temperature, as a share of those who do at 22 degrees."""
    return 0.15 + 0.85 * np.exp(-(((temperature - 22) / 14) ** 2))


LABEL_DELAY = timedelta(hours=2)
SIMULATION = Simulation(seed=20260101, day=make_day, timestamp="observed_at", target="rentals", label_delay=LABEL_DELAY)


def load(window: Window) -> Iterator[pd.DataFrame]:
    """Gives the rows of the window as they are known at its end."""
    return SIMULATION.rows(window, Drift.parse(os.environ.get("REFIT_EXAMPLE_DRIFT", "")))


def build() -> Pipeline:
    """Gradient boosted trees, which take missing numbers as they are."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("codes", codes, CATEGORIES), ("numbers", "passthrough", NUMBERS)])
    return make_pipeline(columns, HistGradientBoostingRegressor(loss="poisson"))


project = Project(
    name="bike_demand",
    kind="regression",
    target="rentals",
    timestamp="observed_at",
    key=("station_id", "observed_at"),
    load=load,
    build=build,
    label_delay=LABEL_DELAY,
    schedule=Schedule(monitor="0 * * * *"),
)
