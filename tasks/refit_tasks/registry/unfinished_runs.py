"""Runs and logged models that killed trainings left unfinished in MLflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from refit_tasks.registry.mlflow_client import read_pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

TRAINING_TAGS = {"refit.run_key", "mlflow.parentRunId"}
"""Tags of the runs of trainings (the first) and of trials (the second)."""


def find_open_trainings(client: MlflowClient, experiment: str) -> list[Run]:
    """Finds the unfinished runs of trainings and trials.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.

    Returns:
        The runs; those that people started themselves are left out.
    """
    running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    return [run for run in running if TRAINING_TAGS & set(run.data.tags)]


def find_pending_models(client: MlflowClient, experiment: str, run_id: str | None = None) -> list[LoggedModel]:
    """Finds logged models that are not finished.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.
        run_id: The run that wrote them; any run if `None`.

    Returns:
        The models.
    """
    from mlflow.entities import LoggedModelStatus

    # MLflow's own filter compares the status with a string and finds none.
    chosen = f"source_run_id = '{run_id}'" if run_id else None
    found = read_pages(lambda token: client.search_logged_models([experiment], chosen, page_token=token))
    return [model for model in found if model.status == LoggedModelStatus.PENDING]


def close_training(client: MlflowClient, run: Run) -> None:
    """Marks the run of a dead training as killed, and its unfinished models as failed.

    Args:
        client: The MLflow client.
        run: From `find_open_trainings`.
    """
    for model in find_pending_models(client, run.info.experiment_id, run.info.run_id):
        fail_model(client, model)
    client.set_terminated(run.info.run_id, "KILLED")


def fail_model(client: MlflowClient, model: LoggedModel) -> None:
    """Marks a logged model as failed.

    Args:
        client: The MLflow client.
        model: From `find_pending_models`.
    """
    from mlflow.entities import LoggedModelStatus

    client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def read_start(run: Run) -> datetime:
    """Gives the start time of a run.

    Args:
        run: The run.

    Returns:
        The instant, UTC.
    """
    return from_milliseconds(run.info.start_time)


def from_milliseconds(milliseconds: int) -> datetime:
    """Converts a time of MLflow.

    Args:
        milliseconds: Milliseconds since 1970, UTC.

    Returns:
        The instant, UTC.
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
