"""Secrets as environment variables: read from the files that `NAME_FILE` names, and split from MLflow's tracking URI.

Docker and Kubernetes pass secrets as files, and most of the programs around Refit read variables only. MLflow writes
its tracking URI into error messages, so the password must not be in it.
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
"""The variables that can be read from a file. Others of that form, such as REFIT_SERVE_KEYS_FILE, name a file for good
and are not read here."""


def read_secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Reads the secrets from their files.

    Args:
        environment: The environment variables. A variable that is set itself takes precedence over its file.

    Returns:
        From variable to value, without the newline at the end.

    Raises:
        ValueError: If a file cannot be read.
    """
    paths = {name: environment.get(f"{name}_FILE") for name in SECRETS if name not in environment}
    return {name: _read_secret(name, path) for name, path in paths.items() if path}


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as fault:
        why = fault.strerror
    # Raised outside the handler: the command line would take an OSError in the chain for a problem of REFIT_HOME.
    raise ValueError(
        f"{name}_FILE names {path}, which cannot be read ({why}): mount the secret there, or unset {name}_FILE"
    )


URI, USERNAME, PASSWORD = "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def split_credentials(environment: MutableMapping[str, str]) -> None:
    """Moves user name and password from MLflow's tracking URI into its variables for them, unless those are set.

    Args:
        environment: The environment variables, which are changed.

    Raises:
        ValueError: If the tracking URI is not valid. The error does not show it.

    Example:
        >>> variables = {"MLFLOW_TRACKING_URI": "https://ada:a%40b@ml.example.org/x"}
        >>> split_credentials(variables)
        >>> variables["MLFLOW_TRACKING_URI"], variables["MLFLOW_TRACKING_PASSWORD"]
        ('https://ml.example.org/x', 'a@b')
    """
    parts = _split_url(environment.get(URI, ""))
    if parts is None:
        raise ValueError(f"{URI} is not a valid URI: set it to http://HOST:PORT")
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return
    credentials, _, host = parts.netloc.rpartition("@")
    name, _, password = credentials.partition(":")
    environment.setdefault(USERNAME, unquote(name))
    environment.setdefault(PASSWORD, unquote(password))
    environment[URI] = SplitResult(parts.scheme, host, *parts[2:]).geturl()


def _split_url(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # its message may hold the password
        return None
