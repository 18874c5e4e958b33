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

import deployments.approving
import deployments.checking
import deployments.doctoring
import deployments.labelling
import deployments.main
import deployments.monitoring
import deployments.record
import deployments.reporting
import deployments.retraining
import deployments.scoring
import deployments.succession
