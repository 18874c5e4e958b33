"""What a model says, as columns: so that its predictions can be watched for drift like any other column."""

from __future__ import annotations

import pyarrow as pa

from refit.modelling.predictions import BINARY, Predictions

MOST_CLASSES = 10
"""Of a model with more classes only the predicted class is watched."""


def outputs(predictions: Predictions) -> pa.Table:
    """Turns predictions into columns, one per output.

    Args:
        predictions: What a model says of some rows.

    Returns:
        `probability of X` for each of a few classes, for the second one alone of two; else `prediction`, a number for a
        regressor, a text for a classifier without probabilities or with many classes.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    labels = predictions.labels
    if not labels:
        return pa.table({"prediction": pa.array(predictions.all_of("predict"), pa.float64())})
    if not hasattr(predictions, "predict_proba") or len(labels) > MOST_CLASSES:
        return pa.table({"prediction": pa.array([str(said) for said in predictions.all_of("predict")], pa.string())})
    answers, first = predictions.all_of("predict_proba"), int(len(labels) == BINARY)
    return pa.table({f"probability of {label}": answers[:, place] for place, label in list(enumerate(labels))[first:]})
