"""What has to run before Prefect's server can: PostgreSQL, the object store, MLflow."""

from __future__ import annotations

import os
import subprocess
import sys

from refit.errors import StateError
from refit_deployments.local.supervisor import Stack
from refit_deployments.production.layout import Places
from refit_deployments.production.object_store import make_buckets, objects
from refit_deployments.production.passwords import read_secret
from refit_deployments.production.postgres import postgres
from refit_deployments.production.sockets import clear_sockets
from refit_deployments.production.tracking import tracking


def begin(stack: Stack, places: Places) -> None:
    """Starts them, and waits for those on which the next ones stand.

    Args:
        stack: Watches over them, and ends them after all that is begun later.
        places: Where.

    Raises:
        StateError: If one is not installed, its port or socket is taken, or it does not start.
    """
    places.insist_free()
    clear_sockets(places)
    store = [postgres(places), objects(places)]
    for service in store:
        stack.begin(service)
    for service in store:
        stack.wait_for(service)
    make_buckets(places)
    _make_ledger(places)
    stack.begin(mlflow := tracking(places))
    stack.wait_for(mlflow)


def _make_ledger(places: Places) -> None:
    """Has the ledger's owner make its tables where there are none; where there are, their chain is followed."""
    command = [sys.executable, "-c", "from refit_deployments.main import main; main()", "ledger", "verify"]
    owner = {"REFIT_DATABASE_URL": read_secret(places, "refit_owner_url")}
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        command, env={**os.environ, **owner}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StateError(f"the ledger of the stack cannot be used: {done.stderr.strip().removeprefix('refit: ')}")
