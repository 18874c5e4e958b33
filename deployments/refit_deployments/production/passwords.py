"""The passwords of the stack: random, generated once, each in a file that only its owner can read.

The names are those of `infra/compose/make_secrets.sh`.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from refit_deployments.local.processes import HOST
from refit_deployments.production.layout import Places

LOGINS = {"refit_owner": "refit", "refit": "refit", "refit_metrics": "refit", "prefect": "prefect", "mlflow": "mlflow"}
"""The logins of PostgreSQL, and the database of each."""
PASSWORDS = (
    *(f"{login}_role" for login in LOGINS),
    *("mlflow_password", "mlflow_session_key", "prefect_password"),
    *("s3_access_key", "s3_secret_key", "objects_signing_key"),
)


def make_secrets(places: Places) -> None:
    """Generates missing passwords, and rewrites the files that contain ports.

    Args:
        places: The ports and directories.
    """
    for directory in (places.home.parent, places.home, places.secrets):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in PASSWORDS:
        if not (places.secrets / name).exists():
            _write(places.secrets / name, secrets.token_hex(24))
    for name, content in _derived(places, {name: read_secret(places, name) for name in PASSWORDS}).items():
        _write(places.secrets / name, content)


def read_secret(places: Places, name: str) -> str:
    """Reads a password.

    Args:
        places: The ports and directories.
        name: The name of its file.

    Returns:
        The password.
    """
    return (places.secrets / name).read_text()


def _derived(places: Places, words: dict[str, str]) -> dict[str, str]:
    at = f"{HOST}:{places.database}"
    uris = {login: f"{login}:{words[f'{login}_role']}@{at}/{database}" for login, database in LOGINS.items()}
    keys = {"accessKey": words["s3_access_key"], "secretKey": words["s3_secret_key"]}
    may = ["Admin", "Read", "Write", "List", "Tagging"]
    tracking = f"postgresql+psycopg://{uris['mlflow']}"
    return {
        "refit_owner_url": f"postgresql+psycopg://{uris['refit_owner']}",
        "refit_database_url": f"postgresql+psycopg://{uris['refit']}",
        "refit_metrics_url": f"postgresql+psycopg://{uris['refit_metrics']}",
        "prefect_database_url": f"postgresql+asyncpg://{uris['prefect']}",
        "mlflow_database_uri": tracking,
        "mlflow_auth": "\n".join(
            [
                "[mlflow]",
                "default_permission = NO_PERMISSIONS",
                f"database_uri = {tracking}",
                "admin_username = admin",
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
                # Without it, every request hashes the password, slow on purpose: a retrain makes a hundred.
                "auth_cache_ttl_seconds = 60",
            ]
        ),
        "prefect_auth": f"admin:{words['prefect_password']}",
        "s3_config": json.dumps({"identities": [{"name": "refit", "actions": may, "credentials": [keys]}]}),
    }


def _write(file: Path, content: str) -> None:
    """Writes a file atomically, readable only by its owner from the start."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(content)
    draft.replace(file)
