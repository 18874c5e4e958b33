"""Deciding and recording, admitting a retrain, its lock, and starting it.

Does not belong here: measuring (`monitoring`).
"""
