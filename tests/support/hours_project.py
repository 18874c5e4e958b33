"""A small project file for the tests of the commands: the outcome follows one input, and turns halfway."""

from __future__ import annotations

HOURS = '''
"""Hours <of> work."""
from datetime import timedelta

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from refit import Project


def load(window):
    at = pd.date_range("2026-01-01", periods=1_200, freq="h", tz="UTC")
    rng = np.random.default_rng(0)
    x, slope = rng.normal(size=1_200), np.where(np.arange(1_200) < 600, 1.0, -1.0)
    frame = pd.DataFrame({"id": range(1_200), "at": at, "x": x, "y": slope * x + 0.1 * rng.normal(size=1_200)})
    return frame[window.holds(frame["at"])]


project = Project(
    name="hours", kind="regression", target="y", timestamp="at", key=("id",), load=load, build=LinearRegression,
    label_delay=timedelta(hours=2),
)
'''
