"""Batch scoring, and the comparison of a challenger on logged predictions.

Does not belong here: HTTP (`refit_serving`).
"""
