"""The production stack on this machine without Docker: `make stack`.

The same services as in `infra/compose`, by the same names, on loopback ports: PostgreSQL, an S3 store, MLflow's and
Prefect's servers on them, and workers. This folder defines how each is set up and started; `refit_deployments.local.up`
supervises them.
"""
