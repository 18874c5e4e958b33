"""Late delivery: will a parcel arrive later than promised.

The rows are made up, so that the project runs anywhere. The risk follows the carrier, the service, the distance, the
hour of handing in, the day of the week and the season. `REFIT_EXAMPLE_DRIFT=covariate@2026-04-01,concept@2026-05-01`
switches on a new market (parcels go farther and with other carriers; each is as risky as before) and a lasting change
of the carriers (the best becomes the worst, and an early hand-in no longer helps).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from refit import Project, Schedule, Window
from refit.synthetic import Drift, Simulation, chosen, with_gaps

CATEGORIES = ["carrier", "service", "region", "weekday"]
NUMBERS = ["hour", "distance_km", "weight_kg", "items", "backlog"]

PARCELS = {"Mon": 520, "Tue": 470, "Wed": 450, "Thu": 460, "Fri": 540, "Sat": 350, "Sun": 310}
"""How many parcels are handed in on such a day."""
CARRIERS: dict[str | None, float] = {"swift": 0.35, "postal": 0.3, "metro": 0.2, "nord": 0.15}
NEW_CARRIERS: dict[str | None, float] = {"swift": 0.1, "postal": 0.2, "metro": 0.25, "nord": 0.45}
SERVICES: dict[str | None, float] = {"standard": 0.6, "express": 0.25, "economy": 0.15}
REGIONS: dict[str | None, float] = {"north": 0.2, "south": 0.25, "east": 0.2, "west": 0.25, "islands": 0.06, None: 0.04}

RISK: dict[str, dict[str | None, float]] = {
    "carrier": {"swift": -0.9, "postal": 0.0, "metro": 0.3, "nord": 0.8},
    "service": {"express": -0.8, "standard": 0.0, "economy": 0.6},
    "region": {"north": 0.2, "south": -0.2, "east": 0.0, "west": 0.0, "islands": 1.2, None: 0.3},
    "weekday": {"Mon": 0.0, "Tue": -0.1, "Wed": -0.1, "Thu": 0.1, "Fri": 0.6, "Sat": 0.5, "Sun": 0.2},
}
"""What each category adds to the log-odds of being late."""
NEW_RISK = RISK | {"carrier": {"swift": 1.5, "postal": 0.0, "metro": -0.4, "nord": -0.9}}


def make_day(rng: np.random.Generator, day: datetime, drift: Drift) -> pd.DataFrame:
    """Makes the parcels of one day, in the order of their hand-in."""
    columns = make_parcels(rng, day, drift)
    late = rng.random(len(columns["hour"])) < 1 / (1 + np.exp(-log_odds(columns, new=drift.moves_outcome(day))))
    columns["weight_kg"] = with_gaps(rng, columns["weight_kg"], 0.05)
    columns["late"] = pd.array(late.astype(int), dtype="Int64")
    return pd.DataFrame(columns).astype(dict.fromkeys(("parcel_id", *CATEGORIES), "str"))


def make_parcels(rng: np.random.Generator, day: datetime, drift: Drift) -> dict[str, Any]:
    """Makes what is known of each parcel when it is handed in."""
    weekday = list(PARCELS)[day.weekday()]
    rows, moved = PARCELS[weekday], drift.moves_inputs(day)
    seconds = np.sort(np.clip(rng.normal(14, 3.5, rows) * 3600, 0, 86_399).astype(int))
    crowd = 1 + 0.4 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 355) / 365.25)
    return {
        "parcel_id": np.array([f"{day:%Y%m%d}-{number:03d}" for number in range(rows)], dtype=object),
        "shipped_at": (pd.Timestamp(day) + pd.to_timedelta(seconds, unit="s")).as_unit("us"),
        "carrier": chosen(rng, NEW_CARRIERS if moved else CARRIERS, rows),
        "service": chosen(rng, SERVICES, rows),
        "region": chosen(rng, REGIONS, rows),
        "weekday": np.full(rows, weekday, dtype=object),
        "hour": seconds // 3600,
        "distance_km": rng.gamma(3, 190 if moved else 120, rows).round(),
        "weight_kg": rng.lognormal(0.6, 0.8, rows).round(2),
        "items": 1 + rng.poisson(1.2, rows),
        "backlog": (100 * crowd * rng.gamma(20, 1 / 20, rows)).round(),
    }


def log_odds(parcels: dict[str, Any], *, new: bool) -> np.ndarray:
    """How likely each parcel is to be late, as the logarithm of the odds."""
    risk = NEW_RISK if new else RISK
    categories = sum(np.array([risk[column][category] for category in parcels[column]]) for column in CATEGORIES)
    hand_in = 0.0 if new else 0.12 * (parcels["hour"] - 14)
    total: np.ndarray = categories + hand_in + parcels["distance_km"] / 400 + parcels["backlog"] / 40 - 5.1
    return total


LABEL_DELAY = timedelta(days=3)
SIMULATION = Simulation(seed=20260102, day=make_day, timestamp="shipped_at", target="late", label_delay=LABEL_DELAY)


def load(window: Window) -> Iterator[pd.DataFrame]:
    """Gives the rows of the window as they are known at its end."""
    return SIMULATION.rows(window, Drift.parse(os.environ.get("REFIT_EXAMPLE_DRIFT", "")))


def build() -> Pipeline:
    """Logistic regression on scaled numbers and indicators of the categories."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES), ("numbers", numbers, NUMBERS)]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1_000))


project = Project(
    name="late_delivery",
    kind="classification",
    target="late",
    timestamp="shipped_at",
    key=("parcel_id",),
    load=load,
    build=build,
    label_delay=LABEL_DELAY,
    schedule=Schedule(monitor="0 6 * * *"),
)
