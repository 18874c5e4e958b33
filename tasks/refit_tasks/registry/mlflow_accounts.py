"""Who may open MLflow's pages where they ask for a name: the administrator, who lets others in there."""

from __future__ import annotations

import configparser
from pathlib import Path

from refit_infra.settings import Settings

ADMINISTRATOR = "admin"


def open_accounts(password: str) -> Path:
    """Makes the administrator's password the one that is set now, also where MLflow knows another one.

    Args:
        password: The administrator's.

    Returns:
        The configuration for MLflow's server, which holds no secret.
    """
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    home = Settings().home
    database, store = f"sqlite:///{home / 'mlflow-accounts.db'}", SqlAlchemyStore()
    store.init_db(database)  # type: ignore[no-untyped-call]
    if store.has_user(ADMINISTRATOR):
        store.update_user(ADMINISTRATOR, password, is_admin=True)
    else:
        store.create_user(ADMINISTRATOR, password, is_admin=True)
    store.engine.dispose()
    return _write(home / "mlflow-accounts.ini", {"default_permission": "READ", "database_uri": database})


def _write(file: Path, settings: dict[str, str]) -> Path:
    configuration = configparser.ConfigParser(interpolation=None)
    # MLflow reads a percent sign as the beginning of a name.
    configuration["mlflow"] = {
        name: value.replace("%", "%%") for name, value in {**settings, "admin_username": ADMINISTRATOR}.items()
    }
    with file.open("w", encoding="utf-8") as stream:
        configuration.write(stream)
    return file
