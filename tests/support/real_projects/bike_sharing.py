"""Hourly bike rentals in Washington, D.C., 2011 to 2012."""

import os

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import Project
from refit.sources import parquet


def build() -> Pipeline:
    """Gradient boosting on ordinal codes."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingRegressor())


project = Project(
    name="bike_sharing",
    kind="regression",
    target="rentals",
    timestamp="observed_at",
    load=parquet(f"{os.environ['REFIT_REAL_DATA']}/bike_sharing.parquet", timestamp="observed_at"),
    build=build,
)
