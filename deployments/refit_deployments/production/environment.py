"""The settings by which Refit finds the stack; a secret among them is named by its file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from refit_deployments.local.processes import HOST, address_of
from refit_deployments.production.layout import TABLES, Places
from refit_deployments.production.object_store import REGION
from refit_infra.settings import Settings

FILE = "environment.sh"


def settings_of(places: Places) -> dict[str, str]:
    """Gives the settings of whoever runs flows and commands on the stack, as in `infra/compose`.

    Args:
        places: Where it is.

    Returns:
        From variable to value.
    """
    mlflow, prefect = address_of(HOST, places.mlflow), address_of(HOST, places.prefect)
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
        "AWS_ENDPOINT_URL": address_of(HOST, places.objects),
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID_FILE": _secret(places, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY_FILE": _secret(places, "s3_secret_key"),
    }


def settings_of_server(places: Places) -> dict[str, str]:
    """Gives what Prefect's server needs beside that.

    Args:
        places: Where it is.

    Returns:
        From variable to value.
    """
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL_FILE": _secret(places, "prefect_database_url"),
        "PREFECT_SERVER_API_AUTH_STRING_FILE": _secret(places, "prefect_auth"),
    }


def apply_environment(places: Places) -> None:
    """Sets all of them in this process, whatever else it was told.

    Args:
        places: Where the stack is.
    """
    settings = {**settings_of(places), **settings_of_server(places)}
    for name in _in_the_way(settings):
        os.environ.pop(name, None)
    os.environ.update(settings)


def write_environment(places: Places) -> Path:
    """Writes those settings for a shell.

    Args:
        places: Where the stack is.

    Returns:
        The file, to be read by `.` in a shell.
    """
    file = places.home / FILE
    settings = settings_of(places)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    file.write_text("\n".join([f"unset {' '.join(_in_the_way(settings))}", *exports, ""]))
    return file


def _in_the_way(settings: Mapping[str, str]) -> list[str]:
    """Names what a shell may hold of another place: a value goes before its file, and a profile before keys."""
    named = [name.removesuffix("_FILE") for name in settings if name.endswith("_FILE")]
    return [*named, "AWS_PROFILE", "AWS_SESSION_TOKEN"]


def _secret(places: Places, name: str) -> str:
    return str(places.secrets / name)
