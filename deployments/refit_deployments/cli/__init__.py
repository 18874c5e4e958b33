"""Typer commands: arguments only, with no heavy import.

Does not belong here: what a command does (`refit_deployments.actions`).
"""
