"""Predictions for rows from outside: request parsing, the feature schema, the predictor, and prediction rows.

Does not belong here: HTTP (`refit_serving`).
"""
