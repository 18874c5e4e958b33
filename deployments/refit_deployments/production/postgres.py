"""PostgreSQL of the stack: a cluster by Debian's programs, with the logins of `infra/compose/postgres/roles.sh`.

The login of Refit does not own the ledger's tables: `refit` appends and reads, `refit_metrics` reads.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from refit.errors import StateError
from refit_deployments.local.processes import HOST, Child
from refit_deployments.local.services import Service
from refit_deployments.production.layout import Places
from refit_deployments.production.passwords import LOGINS, read_secret


def postgres(places: Places) -> Service:
    """Defines PostgreSQL, whose cluster is created at the first start.

    Args:
        places: The ports and directories, with passwords.

    Returns:
        The service, not started.

    Raises:
        StateError: If PostgreSQL is not installed, or its cluster cannot be created.
    """
    found = programs()
    if found is None:
        raise StateError(f"PostgreSQL is not installed in {INSTALLED}: install it with `apt-get install postgresql`")
    passwords = {login: read_secret(places, f"{login}_role") for login in LOGINS}
    data = make_cluster(found, places.home / "postgres", passwords)
    command = server_command(found, data, places.database, unix_socket_directories="")
    # After SIGTERM it would wait for its last client to disconnect.
    child = Child("PostgreSQL", command, settings_of_postgres(), places.home / "logs" / "postgres.log", signal.SIGINT)
    return Service(child, f"{HOST}:{places.database}", lambda: is_ready(found, places.database))


INSTALLED = Path("/usr/lib/postgresql")
OWNERS = {"refit": "refit_owner", "prefect": "prefect", "mlflow": "mlflow"}
RIGHTS = (
    "CREATE ROLE refit_writer NOLOGIN",
    "CREATE ROLE refit_reader NOLOGIN",
    "GRANT refit_writer TO refit",
    "GRANT refit_reader TO refit_metrics",
    "GRANT CONNECT ON DATABASE refit TO refit_writer, refit_reader",
    "GRANT USAGE ON SCHEMA public TO refit_writer, refit_reader",
    *(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE refit_owner IN SCHEMA public GRANT {rights} ON TABLES TO {role}"
        for role, rights in {"refit_writer": "SELECT, INSERT", "refit_reader": "SELECT"}.items()
    ),
)
SYSTEM_USER = "postgres"
"""The user that runs it where root starts the stack: PostgreSQL refuses to run as root."""


def programs() -> Path | None:
    """Finds PostgreSQL's programs.

    Returns:
        The directory of the newest version that is installed; `None` if there is none.
    """
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return found[-1].parent if found else None


def make_cluster(found: Path, root: Path, passwords: Mapping[str, str]) -> Path:
    """Creates a cluster, unless there is one.

    It is created in a draft directory and renamed, so that a killed creation starts again.

    Args:
        found: From `programs`.
        root: The parent directory, created if it does not exist.
        passwords: The password of each login.

    Returns:
        The data directory.

    Raises:
        StateError: If the cluster cannot be created.
    """
    _grant_access(root)
    if not (root / "data").exists():
        _make(found, root, passwords)
    return root / "data"


def server_command(found: Path, data: Path, port: int, **options: str) -> list[str]:
    """Gives the command that runs the server of a cluster on loopback.

    Args:
        found: From `programs`.
        data: The cluster's directory.
        port: The port.
        **options: Further settings of PostgreSQL, by their names.

    Returns:
        The command.
    """
    settings = {"listen_addresses": HOST, "port": str(port), **options}
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return as_system_user(str(found / "postgres"), "-D", str(data), *given)


def is_ready(found: Path, port: int) -> bool:
    """Tells whether a server accepts connections.

    Args:
        found: From `programs`.
        port: The port of the server.

    Returns:
        Whether it accepts connections.
    """
    command = [str(found / "pg_isready"), "--quiet", f"--host={HOST}", f"--port={port}"]
    return not subprocess.run(command, check=False).returncode  # noqa: S603 - PostgreSQL's own program, no shell


def own_directory(directory: Path) -> None:
    """Makes PostgreSQL's own user the owner of a directory, for root.

    Args:
        directory: An existing directory.
    """
    if not os.geteuid():
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(directory, user.pw_uid, user.pw_gid)


def run_program(found: Path, program: str, *arguments: str, text: str = "") -> None:
    """Runs a program of PostgreSQL; for root, as its own user.

    Args:
        found: From `programs`.
        program: The program's name.
        *arguments: Its arguments.
        text: Its standard input.

    Raises:
        StateError: If the program fails.
    """
    command = as_system_user(str(found / program), *arguments)
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, no shell
        command, input=text, capture_output=True, text=True, cwd="/", env=settings_of_postgres(), check=False
    )
    if done.returncode:
        line = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
        raise StateError(
            f"the PostgreSQL cluster cannot be created ({line}): check that REFIT_HOME has space, and, for root, that "
            f"the user {SYSTEM_USER} can enter its parent directories"
        )


def as_system_user(*command: str) -> list[str]:
    """Gives the command that runs a program of PostgreSQL.

    Args:
        command: The program and its arguments.

    Returns:
        The command; for root, as PostgreSQL's own user.
    """
    if os.geteuid():
        return list(command)
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups", *command]


def settings_of_postgres() -> dict[str, str]:
    """Gives the environment of PostgreSQL, without connection settings and secrets.

    Returns:
        The environment variables.
    """
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TZ")} | {"LC_ALL": "C.UTF-8"}


def _grant_access(root: Path) -> None:
    """Creates the directory for PostgreSQL's user, and lets that user enter its parent directories."""
    root.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid():
        return
    own_directory(root)
    for directory in (root.parent, root.parent.parent):
        if not directory.stat().st_mode & 0o001:
            os.chown(directory, -1, root.stat().st_gid)
            directory.chmod(0o710)


def _make(found: Path, root: Path, passwords: Mapping[str, str]) -> None:
    draft = root / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    ways = [
        "--auth-local=reject",
        "--auth-host=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    run_program(found, "initdb", "--pgdata", str(draft), f"--username={SYSTEM_USER}", *ways)
    # Single-user mode keeps passwords off the command line; the administrator has none and cannot log in.
    for database, lines in (("postgres", _logins(passwords)), ("refit", RIGHTS)):
        alone = ["--single", "-D", str(draft), "-c", "exit_on_error=on", database]
        run_program(found, "postgres", *alone, text="".join(f"{line}\n" for line in lines))
    draft.rename(root / "data")


def _logins(passwords: Mapping[str, str]) -> list[str]:
    may_not = "NOSUPERUSER NOCREATEDB NOCREATEROLE"
    made = [f"CREATE ROLE {login} LOGIN {may_not} PASSWORD '{word}'" for login, word in passwords.items()]
    for database, owner in OWNERS.items():
        made += [f"CREATE DATABASE {database} OWNER {owner}", f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"]
    return made
