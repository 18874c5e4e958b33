"""Messages to people through Prefect's blocks.

Does not belong here: when to alert (`refit.monitoring`).
"""
