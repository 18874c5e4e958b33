"""Estimators and their scores: preparation, predictions, scoring, the training window, and trial fits.

Does not belong here: the comparison of two models (`refit.gate`), and requests from outside (`refit.inference`).
"""
