"""Scores on the holdout, the serving check in a sandbox, and the choice of the serving runtime.

Does not belong here: the verdict (`refit.gate`).
"""
