"""PostgreSQL for the stack.

A database cluster of PostgreSQL, by Debian's programs, with the logins of `infra/compose/postgres/roles.sh`.

What runs Refit does not own the ledger's tables: `refit` appends and reads, `refit_metrics` reads.
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
    command = server_command(found, data, places.database, unix_socket_directories="")
    # Asked by SIGTERM, it would wait for its last client to leave.
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
"""Who runs it where root starts the stack: PostgreSQL refuses to run as root."""


def programs() -> Path | None:
    """Finds PostgreSQL's programs.

    Returns:
        The directory of the newest version that is installed; `None` if there is none.
    """
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return found[-1].parent if found else None


def make_cluster(found: Path, root: Path, passwords: Mapping[str, str]) -> Path:
    """Makes a cluster, unless there is one.

    It is made beside its place and renamed: one whose making was killed is begun anew.

    Args:
        found: From `programs`.
        root: The directory to make it in, made if it is not there.
        passwords: Of each login.

    Returns:
        Its directory.

    Raises:
        StateError: If it cannot be made.
    """
    _let_in(root)
    if not (root / "data").exists():
        _make(found, root, passwords)
    return root / "data"


def server_command(found: Path, data: Path, port: int, **options: str) -> list[str]:
    """Gives the command that runs the server of a cluster, on the loopback interface.

    Args:
        found: From `programs`.
        data: The cluster's directory.
        port: Where it listens.
        **options: Settings of PostgreSQL beside these, by their names.

    Returns:
        The command.
    """
    settings = {"listen_addresses": HOST, "port": str(port), **options}
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return as_its_user(str(found / "postgres"), "-D", str(data), *given)


def is_ready(found: Path, port: int) -> bool:
    """Tells whether a server takes connections.

    Args:
        found: From `programs`.
        port: Where it listens.

    Returns:
        Whether it does.
    """
    command = [str(found / "pg_isready"), "--quiet", f"--host={HOST}", f"--port={port}"]
    return not subprocess.run(command, check=False).returncode  # noqa: S603 - PostgreSQL's own program, no shell


def give_to_its_user(directory: Path) -> None:
    """Gives a directory to PostgreSQL's own user where root asks.

    Args:
        directory: The directory, which is there.
    """
    if not os.geteuid():
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(directory, user.pw_uid, user.pw_gid)


def run_program(found: Path, program: str, *arguments: str, said: str = "") -> None:
    """Runs one of its programs, as its own user where root asks.

    Args:
        found: From `programs`.
        program: The program's name.
        *arguments: Its arguments.
        said: What it reads from standard input.

    Raises:
        StateError: If the program fails.
    """
    command = as_its_user(str(found / program), *arguments)
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, no shell
        command, input=said, capture_output=True, text=True, cwd="/", env=settings_of_postgres(), check=False
    )
    if done.returncode:
        words = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
        raise StateError(
            f"PostgreSQL's files cannot be made ({words}): see that REFIT_HOME has space, and that where root starts "
            f"it, the user {SYSTEM_USER} may pass through the directories above"
        )


def as_its_user(*command: str) -> list[str]:
    """Gives the command that runs one of its programs.

    Args:
        command: The program and its arguments.

    Returns:
        The same; where root asks, for PostgreSQL's own user.
    """
    if os.geteuid():
        return list(command)
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups", *command]


def settings_of_postgres() -> dict[str, str]:
    """Gives what it needs of our environment: nothing that says how to connect, and no secret.

    Returns:
        From variable to value.
    """
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TZ")} | {"LC_ALL": "C.UTF-8"}


def _let_in(root: Path) -> None:
    """Makes the directory that its user owns, and lets that user pass through those above it that are ours."""
    root.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid():
        return
    give_to_its_user(root)
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
    # So no password stands on a command line, and its administrator has none: nobody signs in as that one.
    for database, lines in (("postgres", _logins(passwords)), ("refit", RIGHTS)):
        alone = ["--single", "-D", str(draft), "-c", "exit_on_error=on", database]
        run_program(found, "postgres", *alone, said="".join(f"{line}\n" for line in lines))
    draft.rename(root / "data")


def _logins(passwords: Mapping[str, str]) -> list[str]:
    may_not = "NOSUPERUSER NOCREATEDB NOCREATEROLE"
    made = [f"CREATE ROLE {login} LOGIN {may_not} PASSWORD '{word}'" for login, word in passwords.items()]
    for database, owner in OWNERS.items():
        made += [f"CREATE DATABASE {database} OWNER {owner}", f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"]
    return made
