"""`refit up`: Prefect, MLflow and a worker under one supervisor.

Does not belong here: the production stack (`refit_deployments.production`).
"""
