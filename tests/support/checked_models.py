"""A project whose models are checked as they serve, and rows with a column of each type."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from refit import Project
from refit_tasks.simulation.faulty_models import TYPES
from tests.support.strange_models import Chatty, Crashing, Moody, Sleepy, Terse

ROWS = pd.DataFrame(
    {
        "town": pd.array(["north", "south", None, "north"] * 50, dtype="str"),
        "size": pd.Categorical(["s", "m", "s", "m"] * 50),
        "count": np.arange(200) % 7,
        "weight": np.linspace(0, 1, 200),
        "at": pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC"),
    }
)
STRANGE = (Crashing, Moody, Chatty, Sleepy, Terse)


def definition(*features: str) -> Project:
    """Makes the project with these feature columns."""
    return Project(
        name="parcels",
        kind="classification",
        target="late",
        timestamp="at",
        features=features,
        load=pd.DataFrame,
        build=LogisticRegression,
        trusted_types=(*TYPES, *(f"tests.support.strange_models.{kind.__name__}" for kind in STRANGE)),
    )


def hours_of(times: pd.DataFrame) -> pd.DataFrame:
    """Transforms times into their hours."""
    return times.apply(lambda column: column.dt.hour)
