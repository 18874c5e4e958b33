"""Deployments, schedules and automations on a Prefect server.

Does not belong here: starting a server (`refit_deployments.local`).
"""
