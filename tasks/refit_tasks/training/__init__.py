"""Fitting, tuning, the final fit, and rebuilding a version.

Does not belong here: judging a model (`evaluation`).
"""
