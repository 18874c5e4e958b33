"""The settings for commands that use the stack; each secret is named by its file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from refit_deployments.local.processes import HOST, url_of
from refit_deployments.production.layout import TABLES, Places
from refit_deployments.production.object_store import REGION
from refit_infra.settings import Settings

FILE = "environment.sh"


def settings_of(places: Places) -> dict[str, str]:
    """Gives the settings of commands and workers on the stack, as in `infra/compose`.

    Args:
        places: The ports and directories.

    Returns:
        The environment variables.
    """
    mlflow, prefect = url_of(HOST, places.mlflow), url_of(HOST, places.prefect)
    return {
        "REFIT_HOME": str(places.home),
        "REFIT_PROJECTS": str(Settings().projects),
        "REFIT_STORE_URI": f"s3://{TABLES}",
        "REFIT_DATABASE_URL_FILE": _secret(places, "refit_database_url"),
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD_FILE": _secret(places, "mlflow_password"),
        "PREFECT_API_URL": f"{prefect}/api",
        "PREFECT_API_AUTH_STRING_FILE": _secret(places, "prefect_auth"),
        "AWS_ENDPOINT_URL": url_of(HOST, places.objects),
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID_FILE": _secret(places, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY_FILE": _secret(places, "s3_secret_key"),
    }


def settings_of_server(places: Places) -> dict[str, str]:
    """Gives the further settings of the Prefect server.

    Args:
        places: The ports and directories.

    Returns:
        The environment variables.
    """
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL_FILE": _secret(places, "prefect_database_url"),
        "PREFECT_SERVER_API_AUTH_STRING_FILE": _secret(places, "prefect_auth"),
    }


def apply_environment(places: Places) -> None:
    """Sets all of these settings in this process and removes those in conflict.

    Args:
        places: The ports and directories.
    """
    settings = {**settings_of(places), **settings_of_server(places)}
    for name in _conflicts(settings):
        os.environ.pop(name, None)
    os.environ.update(settings)


def write_environment(places: Places) -> Path:
    """Writes the settings to a shell script.

    Args:
        places: The ports and directories.

    Returns:
        The script, to be run by `.` in a shell.
    """
    file = places.home / FILE
    settings = settings_of(places)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    file.write_text("\n".join([f"unset {' '.join(_conflicts(settings))}", *exports, ""]))
    return file


def _conflicts(settings: Mapping[str, str]) -> list[str]:
    """Lists the variables that would win: a secret's value over its file, and an AWS profile over keys."""
    named = [name.removesuffix("_FILE") for name in settings if name.endswith("_FILE")]
    return [*named, "AWS_PROFILE", "AWS_SESSION_TOKEN"]


def _secret(places: Places, name: str) -> str:
    return str(places.secrets / name)
