"""At most one `refit up` for a home: its lock, and the note by which others find it and clean up after its crash.

What the servers of `refit up` ask of whoever comes: nothing on the loopback interface, unless they are told to.

The words are Prefect's and MLflow's own, and come from the environment or from files (`refit_infra.secrets`).
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
class Note:
    """What a running `refit up` tells others."""

    pid: int
    prefect: str
    """The address of Prefect's API; empty while it is starting."""
    mlflow: str | None
    """The address of MLflow's UI."""
    children: tuple[tuple[int, float], ...] = ()
    """The processes that it has started: id, and when each began, which together name it."""


@contextmanager
def single_instance() -> Iterator[Note | None]:
    """Takes the home's one place for a `refit up`.

    Yields:
        The note that a crashed one has left, or `None`.

    Raises:
        StateError: If one is running.
    """
    with try_lock(_lock()) as free:
        if not free:
            raise StateError(f"`refit up` is running already{_where()}: use that one, or stop it by Ctrl-C there")
        try:
            yield _read()
        finally:
            _file().unlink(missing_ok=True)


def write(note: Note) -> None:
    """Leaves the note; only who is `alone` may.

    Args:
        note: What to tell.
    """
    draft = _file().with_suffix(".draft")
    draft.write_text(json.dumps(asdict(note)))
    draft.replace(_file())


def running() -> Note | None:
    """Finds the `refit up` that is running for this home.

    Returns:
        Its note; `None` if there is none, or it is not ready.
    """
    if not _file().exists() or not is_held(_lock()):
        return None
    return note if (note := _read()) and note.prefect else None


def join() -> None:
    """Has this process use the Prefect server of the running `refit up`, unless the user has named one."""
    share_prefect_password()
    if "PREFECT_API_URL" not in os.environ and (note := running()):
        os.environ["PREFECT_API_URL"] = note.prefect


def _where() -> str:
    note = _read()
    if note is None or not note.prefect:
        return ""
    return f" at {public_url(note.prefect.removesuffix('/api'))} (process {note.pid})"


def _read() -> Note | None:
    try:
        told = json.loads(_file().read_text())
        return Note(told["pid"], told["prefect"], told["mlflow"], tuple((pid, at) for pid, at in told["children"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # a note that cannot be read tells nothing


def _file() -> Path:
    return Settings().home / "up.json"


def _lock() -> Path:
    return Settings().home / "up.lock"


PREFECT, PREFECT_CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
MLFLOW, MLFLOW_SIGNING = "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"
SHORTEST = 12
"""So few characters of a password can be guessed by asking."""


def require_passwords(host: str, *, prefect: bool, mlflow: bool) -> None:
    """Makes sure that nobody reaches a server from elsewhere without saying who he is.

    Args:
        host: The address that they will listen at.
        prefect: Whether Prefect's server will.
        mlflow: Whether MLflow's will.

    Raises:
        StateError: If others can reach one, and there is no password, or one that can be guessed.
    """
    needed = {PREFECT: (prefect, "NAME:PASSWORD"), MLFLOW: (mlflow, "PASSWORD")}
    for variable, (begins, form) in needed.items():
        given = os.environ.get(variable, "")
        if begins and (given or not is_loopback(host)) and not _is_strong(given, named=variable == PREFECT):
            raise StateError(
                f"others may reach {host}, so {variable} has to be {form} with at least {SHORTEST} characters of "
                f"password: set it, or name a file that holds it in {variable}_FILE"
            )


def share_prefect_password() -> None:
    """Has this process, as a client, send what it would ask for as a server; before Prefect is imported."""
    if given := os.environ.get(PREFECT):
        os.environ.setdefault(PREFECT_CLIENT, given)


def signing_key() -> str:
    """Gives the key that MLflow signs its pages' forms with: a new one, unless one is set."""
    return os.environ.get(MLFLOW_SIGNING) or secrets.token_hex(32)


def without_secrets(environment: Mapping[str, str], keeping: Iterable[str]) -> dict[str, str]:
    """Leaves out the secrets that are not for a process, and the names of their files.

    Args:
        environment: Its environment variables.
        keeping: The secrets that are for it.

    Returns:
        What it may know.
    """
    withheld = {name + end for name in set(SECRETS) - set(keeping) for end in ("", "_FILE")}
    return {name: value for name, value in environment.items() if name not in withheld}


def _is_strong(given: str, *, named: bool) -> bool:
    name, _, password = given.partition(":") if named else ("-", "", given)
    return bool(name) and len(password) >= SHORTEST
