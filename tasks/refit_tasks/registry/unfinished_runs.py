"""What a killed training leaves in MLflow: a run that counts as running, and a logged model that counts as pending."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from refit_tasks.registry.mlflow_client import read_pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

TRAINING_TAGS = {"refit.run_key", "mlflow.parentRunId"}
"""A training's run has the first tag, a trial's the second."""


def find_open_trainings(client: MlflowClient, experiment: str) -> list[Run]:
    """Finds the runs of trainings and trials that have not ended.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.

    Returns:
        The runs; those that somebody has started by hand are not among them.
    """
    running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    return [run for run in running if TRAINING_TAGS & set(run.data.tags)]


def find_pending_models(client: MlflowClient, experiment: str, run_id: str | None = None) -> list[LoggedModel]:
    """Finds logged models that were begun and not finished.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.
        run_id: Only those of this run; of any run, if `None`.

    Returns:
        The models.
    """
    from mlflow.entities import LoggedModelStatus

    # MLflow compares a status with a text and so finds none: it is compared here.
    chosen = f"source_run_id = '{run_id}'" if run_id else None
    found = read_pages(lambda token: client.search_logged_models([experiment], chosen, page_token=token))
    return [model for model in found if model.status == LoggedModelStatus.PENDING]


def close_training(client: MlflowClient, run: Run) -> None:
    """Ends the run of a dead training, and fails the model that it was writing.

    Args:
        client: The MLflow client.
        run: From `find_open_trainings`.
    """
    for model in find_pending_models(client, run.info.experiment_id, run.info.run_id):
        fail_model(client, model)
    client.set_terminated(run.info.run_id, "KILLED")


def fail_model(client: MlflowClient, model: LoggedModel) -> None:
    """Says of a logged model that it will never be finished.

    Args:
        client: The MLflow client.
        model: From `find_pending_models`.
    """
    from mlflow.entities import LoggedModelStatus

    client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def read_start(run: Run) -> datetime:
    """Tells when a run began.

    Args:
        run: The run.

    Returns:
        The instant, UTC.
    """
    return from_milliseconds(run.info.start_time)


def from_milliseconds(milliseconds: int) -> datetime:
    """Reads a time as MLflow keeps it.

    Args:
        milliseconds: Since 1970.

    Returns:
        The instant, UTC.
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
