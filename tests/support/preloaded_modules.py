"""All that commands need, imported once by the process from which the tests' commands are forked.

Nothing of it starts a thread, which would not survive a fork.
"""

# ruff: noqa: F401 - imported for those who are forked

from __future__ import annotations

import deltalake
import great_expectations
import matplotlib.backends.backend_agg
import matplotlib.figure
import mlflow.sklearn
import mlflow.store.tracking.sqlalchemy_store
import skops.io

import refit_deployments.actions.champion
import refit_deployments.actions.check
import refit_deployments.actions.maintenance
import refit_deployments.actions.monitor
import refit_deployments.actions.predictions
import refit_deployments.actions.retrain
import refit_deployments.actions.status
import refit_deployments.main
