"""What Prometheus reads.

Does not belong here: what is measured for a decision (`refit_tasks.monitoring`).
"""
