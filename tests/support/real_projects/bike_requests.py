"""Hourly bike rentals in Washington, D.C.: 2011 as the history, and from then on what the server is asked."""

import os
from datetime import UTC, datetime

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import Project, Window
from refit.requests import requests
from refit.sources import parquet

OPENING = datetime(2012, 1, 1, tzinfo=UTC)
TABLE = parquet(f"{os.environ['REFIT_REAL_DATA']}/bike_sharing.parquet", timestamp="observed_at")


def history(window):
    """Gives what was there before the server."""
    return TABLE(Window(window.start, min(window.end, OPENING))) if window.start < OPENING else iter(())


def build() -> Pipeline:
    """Gradient boosting on ordinal codes."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingRegressor())


project = Project(
    name="bike_requests",
    kind="regression",
    target="rentals",
    timestamp="observed_at",
    key=("observed_at",),
    load=requests(history),
    build=build,
)
