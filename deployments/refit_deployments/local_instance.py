"""The one `refit up` of a home: its lock, and the file that tells other commands its addresses.

The passwords of its servers: none on loopback, unless one is set; required on any other address. They are Prefect's
and MLflow's own settings, from the environment or from files (`refit_infra.secrets`).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from refit.errors import StateError
from refit_infra.loopback import is_loopback
from refit_infra.secrets import SECRETS
from refit_infra.settings import Settings, public_url
from refit_tasks.locks import is_held, try_lock


@dataclass(frozen=True, slots=True)
class RunningInstance:
    """What a running `refit up` tells other commands."""

    pid: int
    prefect: str
    """The address of Prefect's API; empty during the start."""
    mlflow: str | None
    """The address of the MLflow server."""
    children: tuple[tuple[int, float], ...] = ()
    """The processes that it started, by id and start time, which together identify a process."""


@contextmanager
def single_instance() -> Iterator[RunningInstance | None]:
    """Holds the lock of `refit up` for this home.

    Yields:
        What a crashed `refit up` left, or `None`.

    Raises:
        StateError: If another `refit up` is running.
    """
    with try_lock(_lock()) as free:
        if not free:
            raise StateError(f"`refit up` is already running{_address()}: use it, or stop it with Ctrl-C there")
        try:
            yield _read()
        finally:
            _file().unlink(missing_ok=True)


def write_instance(instance: RunningInstance) -> None:
    """Writes the file for other commands; for the holder of the lock only.

    Args:
        instance: This `refit up`.
    """
    draft = _file().with_suffix(".draft")
    draft.write_text(json.dumps(asdict(instance)))
    draft.replace(_file())


def find_running() -> RunningInstance | None:
    """Finds the `refit up` that is running for this home.

    Returns:
        The instance; `None` if there is none, or it is not ready.
    """
    if not _file().exists() or not is_held(_lock()):
        return None
    return found if (found := _read()) and found.prefect else None


def use_running_server() -> None:
    """Points this process to the Prefect server of the running `refit up`, unless PREFECT_API_URL is set."""
    share_prefect_password()
    if "PREFECT_API_URL" not in os.environ and (found := find_running()):
        os.environ["PREFECT_API_URL"] = found.prefect


def _address() -> str:
    found = _read()
    if found is None or not found.prefect:
        return ""
    return f" at {public_url(found.prefect.removesuffix('/api'))} (process {found.pid})"


def _read() -> RunningInstance | None:
    try:
        values = json.loads(_file().read_text())
        children = tuple((pid, at) for pid, at in values["children"])
        return RunningInstance(values["pid"], values["prefect"], values["mlflow"], children)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # a file that cannot be read tells nothing


def _file() -> Path:
    return Settings().home / "up.json"


def _lock() -> Path:
    return Settings().home / "up.lock"


PREFECT, PREFECT_CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
MLFLOW, MLFLOW_SIGNING = "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"
SHORTEST = 12
"""Shorter passwords can be guessed over the network."""


def require_passwords(host: str, *, prefect: bool, mlflow: bool) -> None:
    """Requires a password for each server that other machines can reach.

    Args:
        host: The address that the servers listen on.
        prefect: Whether the Prefect server is started.
        mlflow: Whether the MLflow server is started.

    Raises:
        StateError: If other machines can reach a server whose password is missing or too short.
    """
    needed = {PREFECT: (prefect, "NAME:PASSWORD"), MLFLOW: (mlflow, "PASSWORD")}
    for variable, (starts, form) in needed.items():
        given = os.environ.get(variable, "")
        if starts and (given or not is_loopback(host)) and not _is_strong(given, named=variable == PREFECT):
            raise StateError(
                f"{host} can be reached by other machines, so {variable} must be {form} with a password of at least "
                f"{SHORTEST} characters: set it, or set {variable}_FILE to a file that holds it"
            )


def share_prefect_password() -> None:
    """Sets the server's password as the client's, before Prefect is imported."""
    if given := os.environ.get(PREFECT):
        os.environ.setdefault(PREFECT_CLIENT, given)


def signing_key() -> str:
    """Gives the key that signs the forms of MLflow's pages; a new one, unless one is set."""
    return os.environ.get(MLFLOW_SIGNING) or secrets.token_hex(32)


def without_secrets(environment: Mapping[str, str], keeping: Iterable[str]) -> dict[str, str]:
    """Removes the secrets that a process does not need, and the names of their files.

    Args:
        environment: The environment variables of this process.
        keeping: The secrets that the new process needs.

    Returns:
        The environment of the new process.
    """
    withheld = {name + end for name in set(SECRETS) - set(keeping) for end in ("", "_FILE")}
    return {name: value for name, value in environment.items() if name not in withheld}


def _is_strong(given: str, *, named: bool) -> bool:
    name, _, password = given.partition(":") if named else ("-", "", given)
    return bool(name) and len(password) >= SHORTEST
