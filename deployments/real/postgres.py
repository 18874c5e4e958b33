"""PostgreSQL for the stack."""

from __future__ import annotations

import signal
import subprocess

from deployments.children import Child
from deployments.ports import HOST
from deployments.real.cluster import INSTALLED, as_its_user, make_cluster, programs, settings_of_postgres
from deployments.real.places import Places
from deployments.real.secret_words import LOGINS, read_secret
from deployments.services import Service
from refit.errors import StateError


def postgres(places: Places) -> Service:
    """PostgreSQL on this machine, made at its first start.

    Args:
        places: Where; the passwords are there already.

    Returns:
        The service, not started.

    Raises:
        StateError: If PostgreSQL is not installed, or its files cannot be made.
    """
    found = programs()
    if found is None:
        raise StateError(f"there is no PostgreSQL under {INSTALLED}: install it by `apt-get install postgresql`")
    passwords = {login: read_secret(places, f"{login}_role") for login in LOGINS}
    data = make_cluster(found, places.home / "postgres", passwords)
    options = {"listen_addresses": HOST, "port": str(places.database), "unix_socket_directories": ""}
    given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = as_its_user(str(found / "postgres"), "-D", str(data), *given)
    # Asked by SIGTERM, it would wait for its last client to leave.
    child = Child("PostgreSQL", command, settings_of_postgres(), places.home / "logs" / "postgres.log", signal.SIGINT)
    ready = [str(found / "pg_isready"), "--quiet", f"--host={HOST}", f"--port={places.database}"]
    return Service(child, f"{HOST}:{places.database}", lambda: not subprocess.run(ready, check=False).returncode)  # noqa: S603
