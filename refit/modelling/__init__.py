"""Preparation, predictions, scores, the training window, and small trial fits.

Does not belong here: the comparison of two models (`refit.gate`).
"""
