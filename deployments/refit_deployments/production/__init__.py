"""The production stack on this machine and without Docker, for tests and for people who have none: `make stack`.

The same services as in `infra/compose`, by the same names, on loopback ports: PostgreSQL, an S3 store, MLflow's and
Prefect's servers on them, and workers. Here is how each is made and started; `refit_deployments.local.up` watches
over them.
"""
