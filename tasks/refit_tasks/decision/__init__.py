"""Retrain decisions: the decision and its record, the admission of a retrain, its lock and its start.

Does not belong here: measuring (`monitoring`).
"""
