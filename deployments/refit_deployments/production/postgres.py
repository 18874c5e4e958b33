"""PostgreSQL for the stack."""

from __future__ import annotations

import signal
import subprocess

from refit.errors import StateError
from refit_deployments.local.ports import HOST
from refit_deployments.local.processes import Child
from refit_deployments.local.services import Service
from refit_deployments.production.cluster import INSTALLED, as_its_user, make_cluster, programs, settings_of_postgres
from refit_deployments.production.layout import Places
from refit_deployments.production.passwords import LOGINS, read_secret


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
