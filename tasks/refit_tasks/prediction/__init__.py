"""Batch scoring, and the online comparison of a challenger with the champion on logged predictions.

Does not belong here: HTTP (`refit_serving`).
"""
