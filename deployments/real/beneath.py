"""What has to run before Prefect's server can: PostgreSQL, the object store, MLflow."""

from __future__ import annotations

from deployments.real.objects import make_buckets, objects
from deployments.real.places import Places
from deployments.real.postgres import postgres
from deployments.real.tracking import tracking
from deployments.stack import Stack


def begin(stack: Stack, places: Places) -> None:
    """Starts them, and waits for those on which the next ones stand.

    Args:
        stack: Watches over them, and ends them after all that is begun later.
        places: Where.

    Raises:
        StateError: If one is not installed, its port is taken, or it does not start.
    """
    places.insist_free()
    store = [postgres(places), objects(places)]
    for service in store:
        stack.begin(service)
    for service in store:
        stack.wait_for(service)
    make_buckets(places)
    stack.begin(mlflow := tracking(places))
    stack.wait_for(mlflow)
