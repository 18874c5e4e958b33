"""MLflow's server of the stack: its database in PostgreSQL, its artifacts in the object store, and a password."""

from __future__ import annotations

import os
import sys

from refit_deployments.guarding import without_secrets
from refit_deployments.local.ports import HOST, address_of
from refit_deployments.local.processes import Child
from refit_deployments.local.services import Service, answers
from refit_deployments.production.layout import MODELS, Places
from refit_deployments.production.passwords import read_secret


def tracking(places: Places) -> Service:
    """The server on this machine; whoever uses it needs no key of the object store, it hands the artifacts on.

    Args:
        places: Where; PostgreSQL and the object store are running.

    Returns:
        The service, not started.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server", f"--host={HOST}", f"--port={places.mlflow}", "--workers=1"),
        *("--app-name=basic-auth", f"--artifacts-destination=s3://{MODELS}"),
    ]
    own = {
        "MLFLOW_BACKEND_STORE_URI": read_secret(places, "mlflow_database_uri"),
        "MLFLOW_AUTH_CONFIG_PATH": str(places.secrets / "mlflow_auth"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": read_secret(places, "mlflow_password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": read_secret(places, "mlflow_session_key"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_S3_ENDPOINT_URL": address_of(HOST, places.objects),
        "AWS_ACCESS_KEY_ID": read_secret(places, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY": read_secret(places, "s3_secret_key"),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment = {**without_secrets(inherited, ()), **own}
    child = Child("MLflow", command, environment, places.home / "logs" / "mlflow.log")
    address = address_of(HOST, places.mlflow)
    return Service(child, address, lambda: answers(f"{address}/health"))
