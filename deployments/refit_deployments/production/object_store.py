"""The object store of the stack: SeaweedFS, a real S3 server with the conditional writes that Delta tables need.

The sockets by which the object store's parts find one another: files whose names SeaweedFS lets nobody choose.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from refit.errors import StateError
from refit_deployments.local.processes import HOST, Child, address_of
from refit_deployments.local.services import Service, answers
from refit_deployments.production.layout import DOORS, MODELS, TABLES, Places
from refit_deployments.production.passwords import read_secret

REGION = "us-east-1"
VOLUME_MB = 1_024
"""How large one of its own files may grow; each takes room as it is filled, not before."""


def objects(places: Places) -> Service:
    """The store on this machine.

    Args:
        places: Where; the passwords are there already.

    Returns:
        The service, not started.

    Raises:
        StateError: If SeaweedFS is not installed.
    """
    directory = places.home / "objects"
    directory.mkdir(mode=0o700, exist_ok=True)
    ports = [f"-{door}.port{end}={places.door(door, inner=bool(end))}" for door in DOORS for end in ("", ".grpc")]
    command = [
        *(_program(), "-logtostderr=true", "server", f"-dir={directory}", f"-ip={HOST}", f"-ip.bind={HOST}", *ports),
        *("-s3", f"-s3.config={places.secrets / 's3_config'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-filer.disableHttp", "-volume.max=0", "-volume.preStopSeconds=0", f"-master.volumeSizeLimitMB={VOLUME_MB}"),
        "-master.telemetry=false",
    ]
    key = read_secret(places, "objects_signing_key")
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TZ")}
    environment = {**inherited, "WEED_JWT_SIGNING_KEY": key, "WEED_JWT_FILER_SIGNING_KEY": key}
    child = Child("object store", command, environment, places.home / "logs" / "objects.log")
    address = address_of(HOST, places.objects)
    return Service(child, address, lambda: answers(f"{address}/healthz"))


def make_buckets(places: Places) -> None:
    """Makes the two buckets where they are not there yet.

    Args:
        places: Where the store is running.
    """
    import boto3

    store = boto3.client(
        "s3",
        endpoint_url=address_of(HOST, places.objects),
        region_name=REGION,
        aws_access_key_id=read_secret(places, "s3_access_key"),
        aws_secret_access_key=read_secret(places, "s3_secret_key"),
    )
    there = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
    for name in sorted({TABLES, MODELS} - there):
        store.create_bucket(Bucket=name)


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StateError("there is no SeaweedFS here: run `make stack`, which installs it, or put `weed` on the PATH")
    return found


DIRECTORY = Path("/tmp")  # noqa: S108 - SeaweedFS's choice
"""Where it puts them, for all users of the machine."""


def clear_sockets(places: Places) -> None:
    """Removes those that an object store has left: it does not itself, and another user's cannot start beside them.

    Args:
        places: The store's ports, at which nothing listens now.

    Raises:
        StateError: If one is another user's, who is the only one that can remove it.
    """
    for file in _sockets_of(places):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{file}, which another user's object store has left, keeps this one from starting ({error.strerror}): "
                "have its owner or root remove it, or take other ports by "
                "`.venv/bin/python -m refit_deployments.production --objects-port N`"
            ) from error


def _sockets_of(places: Places) -> Iterator[Path]:
    yield DIRECTORY / f"seaweedfs-s3-{places.door('s3')}.sock"
    yield DIRECTORY / f"seaweedfs-filer-{places.door('filer')}.sock"
    for door in DOORS:
        yield DIRECTORY / f"seaweedfs-{door}-grpc-{places.door(door, inner=True)}.sock"
