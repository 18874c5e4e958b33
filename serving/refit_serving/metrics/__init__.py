"""Prometheus metrics of the server and of the ledger.

Does not belong here: what is measured for a decision (`refit_tasks.monitoring`).
"""
