"""`refit up`: Prefect server, MLflow server and worker under one supervisor.

Does not belong here: the production stack (`refit_deployments.production`).
"""
