"""Batches of predictions, and the table of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LinearRegression

from refit.inference.prediction_rows import PredictionContext, prediction_columns, prediction_rows
from refit.modelling.predictions import predict_once
from refit_tasks.storage.delta import open_table, read
from refit_tasks.storage.predictions_table import predictions_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = PredictionContext(version=3, generation=2, role="champion", source="http", scored_at=AT)
X = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "count": [1, 2, 3, 4]})


def some(features: pd.DataFrame = X, asked: PredictionContext = ASKED, first: int = 0, **more) -> pa.Table:
    said = prediction_columns(predict_once(LinearRegression().fit(X, X["size"]), X.head(len(features))))
    ids = [f"request {first + row}" for row in range(len(features))]
    return prediction_rows(asked, said, features, request_id=ids, **more)


def held() -> pd.DataFrame:
    return pa.concat_tables(read(open_table(predictions_of("parcels")))).to_pandas()
