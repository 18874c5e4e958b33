"""Notifications through Prefect's notification blocks.

Does not belong here: when to alert (`refit.monitoring`).
"""
