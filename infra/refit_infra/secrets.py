"""Secrets from files: where `NAME_FILE` names a file, what is in it becomes the environment variable `NAME`.

That is how Docker and Kubernetes hand secrets over, and most of the programs around Refit read variables only.

MLflow's password, taken out of its address, which MLflow writes into errors, and others into notes.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

SECRETS = (
    "REFIT_DATABASE_URL",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""The variables that may be given by a file; others of that form, such as REFIT_SERVE_KEYS_FILE, are no business of
this module."""


def from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Reads the secrets that files hold.

    Args:
        environment: The environment variables; one that is set itself goes before its file.

    Returns:
        From variable to value, without the line's end.

    Raises:
        ValueError: If a file cannot be read.
    """
    named = {name: environment.get(f"{name}_FILE") for name in SECRETS if name not in environment}
    return {name: _content(name, path) for name, path in named.items() if path}


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as fault:
        why = fault.strerror
    # Outside of the handler: what led to it is no fault of REFIT_HOME, which the command line would take it for.
    raise ValueError(f"{name}_FILE names {path}, which cannot be read ({why}): mount the secret there, or unset it")


ADDRESS, NAME, PASSWORD = "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def split_credentials(environment: MutableMapping[str, str]) -> None:
    """Moves name and password from the address into the variables that MLflow has for them, unless those are set.

    Args:
        environment: The environment variables.

    Raises:
        ValueError: If the address is none; it is not shown.

    Example:
        >>> variables = {"MLFLOW_TRACKING_URI": "https://ada:a%40b@ml.example.org/x"}
        >>> take_apart(variables)
        >>> variables["MLFLOW_TRACKING_URI"], variables["MLFLOW_TRACKING_PASSWORD"]
        ('https://ml.example.org/x', 'a@b')
    """
    parts = _split(environment.get(ADDRESS, ""))
    if parts is None:
        raise ValueError(f"{ADDRESS} is no address: write http://HOST:PORT")
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return
    given, _, place = parts.netloc.rpartition("@")
    name, _, password = given.partition(":")
    environment.setdefault(NAME, unquote(name))
    environment.setdefault(PASSWORD, unquote(password))
    environment[ADDRESS] = SplitResult(parts.scheme, place, *parts[2:]).geturl()


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:  # its text may hold the password
        return None
