"""What the servers of `refit up` ask of whoever comes: nothing on the loopback interface, unless they are told to.

The words are Prefect's and MLflow's own, and come from the environment or from files (`refit_infra.secrets`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping

from refit.errors import StateError
from refit_infra.loopback import is_loopback
from refit_infra.secrets import SECRETS

PREFECT, PREFECT_CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
MLFLOW, MLFLOW_SIGNING = "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"
SHORTEST = 12
"""So few characters of a password can be guessed by asking."""


def insist_guarded(host: str, *, prefect: bool, mlflow: bool) -> None:
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
