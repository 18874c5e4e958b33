"""The object store of the stack: SeaweedFS, an S3 server with the conditional writes that Delta tables need."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from refit.errors import StateError
from refit_deployments.local.processes import HOST, Child, url_of
from refit_deployments.local.services import Service, is_healthy
from refit_deployments.production.layout import ENDPOINTS, MODELS, TABLES, Places
from refit_deployments.production.passwords import read_secret

REGION = "us-east-1"
VOLUME_MB = 1_024
"""The maximum size of one of its files, which grow as they are filled."""


def objects(places: Places) -> Service:
    """Defines the object store.

    Args:
        places: The ports and directories, with passwords.

    Returns:
        The service, not started.

    Raises:
        StateError: If SeaweedFS is not installed.
    """
    directory = places.home / "objects"
    directory.mkdir(mode=0o700, exist_ok=True)
    ports = [
        f"-{endpoint}.port{end}={places.endpoint_port(endpoint, inner=bool(end))}"
        for endpoint in ENDPOINTS
        for end in ("", ".grpc")
    ]
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
    address = url_of(HOST, places.objects)
    return Service(child, address, lambda: is_healthy(f"{address}/healthz"))


def make_buckets(places: Places) -> None:
    """Creates the two buckets if they do not exist.

    Args:
        places: The ports and directories of the running store.
    """
    import boto3

    store = boto3.client(
        "s3",
        endpoint_url=url_of(HOST, places.objects),
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
        raise StateError("SeaweedFS is not installed: run `make stack`, which installs it, or put `weed` on the PATH")
    return found


DIRECTORY = Path("/tmp")  # noqa: S108 - SeaweedFS's choice
"""The directory of its sockets, shared by all users of the machine; their names cannot be set."""


def clear_sockets(places: Places) -> None:
    """Removes the sockets that an earlier object store left, which SeaweedFS does not do itself.

    Args:
        places: The ports of the store, which is not running.

    Raises:
        StateError: If a socket belongs to another user, who has to remove it.
    """
    for file in _sockets_of(places):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{file}, which another user's object store left, prevents the start ({error.strerror}): "
                "have its owner or root remove it, or set other ports with "
                "`.venv/bin/python -m refit_deployments.production --objects-port N`"
            ) from error


def _sockets_of(places: Places) -> Iterator[Path]:
    yield DIRECTORY / f"seaweedfs-s3-{places.endpoint_port('s3')}.sock"
    yield DIRECTORY / f"seaweedfs-filer-{places.endpoint_port('filer')}.sock"
    for endpoint in ENDPOINTS:
        yield DIRECTORY / f"seaweedfs-{endpoint}-grpc-{places.endpoint_port(endpoint, inner=True)}.sock"
