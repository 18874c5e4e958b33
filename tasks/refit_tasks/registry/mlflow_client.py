"""Access to MLflow: the client, the embedded database, the tags of runs and versions, and the administrator's account.

The embedded database is created atomically and named by an absolute URI. Prefect is not imported here, since commands
that need MLflow only, such as a rollback, should start fast.
"""

from __future__ import annotations

import configparser
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from refit.inference.onnx_choice import SKLEARN, ServingForm
from refit.records.verdicts import Verdict
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.restore_marker import require_complete_restore
from refit_tasks.locks import try_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.entities import PagedList


log = logging.getLogger(__name__)

T = TypeVar("T")

_CREATION_TIMEOUT = 300
"""Seconds to wait for another process that creates the database; that takes 2, or 20 on a busy machine."""

_DRAFTS = "mlflow.draft*"

_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""The tag that makes MLflow's UI show an experiment as training of models instead of agents."""


def open_mlflow() -> MlflowClient:
    """Opens a client for tracking and registry, and configures MLflow's fluent functions alike.

    The embedded database is created on first use, by one process while others wait.

    Returns:
        The client.

    Raises:
        StateError: If the embedded database cannot be created, or was restored only in part.
    """
    import mlflow

    settings = Settings()
    require_complete_restore()
    if settings.mlflow_database and not settings.mlflow_database.exists():
        _create_database(settings, settings.mlflow_database)
    with _keep_environment("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(settings.mlflow)
        mlflow.set_registry_uri(settings.mlflow)
    return mlflow.MlflowClient(settings.mlflow, settings.mlflow)


def require_experiment(client: MlflowClient, project: str) -> str:
    """Finds or creates a project's experiment.

    Args:
        client: From `open_mlflow`.
        project: The project's name, which is also the experiment's.

    Returns:
        The experiment's id.
    """
    found = client.get_experiment_by_name(project)
    if found is None:
        _create_experiment(client, project)
        return require_experiment(client, project)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def list_mlflow_projects() -> set[str]:
    """Lists the projects that have an experiment in MLflow.

    Returns:
        The names of the experiments for training; empty if there is no database yet.
    """
    database = Settings().mlflow_database
    if database and not database.exists():
        return set()
    experiments = open_mlflow().search_experiments()
    return {one.name for one in experiments if _TRAINING.items() <= one.tags.items()}


@contextmanager
def find_drafts() -> Iterator[list[Path]]:
    """Finds files of killed database creations, and locks out new creations meanwhile.

    Yields:
        The files; empty while another process is creating a database.
    """
    database = Settings().home / "mlflow.db"
    if not list(database.parent.glob(_DRAFTS)):
        yield []
        return
    with try_lock(Path(f"{database}.lock")) as free:
        yield sorted(database.parent.glob(_DRAFTS)) if free else []


def _create_experiment(client: MlflowClient, project: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_experiment(project, _artifact_location(project), _TRAINING)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _artifact_location(project: str) -> str | None:
    settings = Settings()
    return f"{settings.mlflow_artifacts}/{project}" if settings.mlflow_database else None


def _create_database(settings: Settings, database: Path) -> None:
    """Creates the database in a temporary file and renames it: MLflow's own creation survives neither kill nor race."""
    open_home(settings)
    with (
        translate_store_errors(f"the MLflow database {database}", "REFIT_HOME"),
        FileLock(f"{database}.lock", timeout=_CREATION_TIMEOUT),
    ):
        if database.exists():
            return
        for leftover in database.parent.glob(_DRAFTS):
            leftover.unlink()
        _write_draft(database.with_suffix(".draft"), settings.mlflow_artifacts).rename(database)
        log.info("created the MLflow database %s", database)


def _write_draft(draft: Path, artifacts: str) -> Path:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{draft}", artifacts).engine.dispose()
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    return draft


@contextmanager
def _keep_environment(*names: str) -> Iterator[None]:
    """Restores variables that MLflow sets: `Settings` would take the embedded database for a server set by the user."""
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def read_pages(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Reads all pages of a search in MLflow.

    Args:
        search: Gives the page of a token; the first one for `None`.

    Yields:
        The results.
    """
    token: str | None = None
    while token is None or token:
        page = search(token)
        yield from page
        token = page.token or ""


VERDICT = "refit.verdict"
"""The tag with the verdict: `rejected` or `fit`; `promoted` for a version that has been champion."""
REJECTED, FIT, PROMOTED = "rejected", "fit", "promoted"
FAILED = "refit.failed"
"""The tag with the names of the failed rules, separated by commas; `none` without any."""
ENTRY = "refit.entry"
"""The tag with the ledger entry of the verdict, which `refit why` explains."""
FORM = "refit.serving_form"
"""The tag with the form in which a version serves: `onnx` or `scikit-learn`."""
MAX_TAG_LENGTH = 200
"""Characters of a tag's value; longer ones are truncated."""


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """Makes the tags of a verdict, for runs and versions.

    Args:
        verdict: The verdict.

    Returns:
        The verdict in one word, and the failed rules.

    Example:
        >>> from refit.records.verdicts import Reason
        >>> verdict_tags(Verdict((Reason("beats_baseline", False, 0.5, 0.6, "0.5 is less than 0.6"),)))
        {'refit.verdict': 'rejected', 'refit.failed': 'beats_baseline'}
    """
    failed = ",".join(reason.check for reason in verdict.reasons if not reason.passed)
    return {VERDICT: FIT if verdict.promote else REJECTED, FAILED: failed[:MAX_TAG_LENGTH] or "none"}


def form_tags(form: ServingForm | None) -> dict[str, str]:
    """Makes the tags of a serving form.

    Args:
        form: The choice of the form; `None` if none was made.

    Returns:
        The form and the reason; if both forms were measured, also their largest difference and the speed-up of ONNX.

    Example:
        >>> form_tags(ServingForm("scikit-learn", "there is no ONNX form: it is ours"))
        {'refit.serving_form': 'scikit-learn', 'refit.serving_form_why': 'there is no ONNX form: it is ours'}
    """
    if form is None:
        return {FORM: SKLEARN}
    measured = {
        f"{FORM}_difference": None if form.difference is None else f"{form.difference:.3g}",
        f"{FORM}_faster": None if form.faster is None else f"{form.faster:.1f}",
        f"{FORM}_sha256": form.sha256 or None,
    }
    told = {name: value for name, value in measured.items() if value is not None}
    return {FORM: form.name, f"{FORM}_why": form.why[:MAX_TAG_LENGTH], **told}


ADMINISTRATOR = "admin"


def configure_accounts(password: str) -> Path:
    """Creates MLflow's administrator account, or sets its password.

    Args:
        password: The administrator's password.

    Returns:
        The configuration file for MLflow's server, which holds no secret.
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
    return _write_configuration(home / "mlflow-accounts.ini", {"default_permission": "READ", "database_uri": database})


def _write_configuration(file: Path, settings: dict[str, str]) -> Path:
    configuration = configparser.ConfigParser(interpolation=None)
    # MLflow interpolates percent signs, so they are doubled.
    configuration["mlflow"] = {
        name: value.replace("%", "%%") for name, value in {**settings, "admin_username": ADMINISTRATOR}.items()
    }
    with file.open("w", encoding="utf-8") as stream:
        configuration.write(stream)
    return file
