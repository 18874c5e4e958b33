"""Secrets from files: where `NAME_FILE` names a file, what is in it becomes the environment variable `NAME`.

That is how Docker and Kubernetes hand secrets over, and most of the programs around Refit read variables only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
