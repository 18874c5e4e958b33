"""Who is employed, by survey answers, Massachusetts 2015 to 2018."""

import os

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import Project
from refit.sources import parquet


def build() -> Pipeline:
    """Gradient boosting on ordinal codes."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier())


project = Project(
    name="employment_ma",
    kind="classification",
    target="employed",
    timestamp="observed_at",
    load=parquet(f"{os.environ['REFIT_REAL_DATA']}/employment_ma.parquet", timestamp="observed_at"),
    build=build,
)
