"""What each command does.

Does not belong here: argument parsing (`refit_deployments.cli`).
"""
