"""From rows that come from outside to a model's predictions, and predictions as rows.

Does not belong here: HTTP (`refit_serving`).
"""
