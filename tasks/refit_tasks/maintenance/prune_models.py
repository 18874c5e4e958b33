"""Retention in MLflow: versions that nobody returns to, and the runs of trainings that led to nothing that is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from refit.results.upkeep import Finding
from refit_infra.settings import Settings
from refit_tasks.maintenance.kept import Kept
from refit_tasks.registry.mlflow_client import every_page
from refit_tasks.registry.unfinished_runs import TRAINED, began

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PRUNED = "refit.pruned"
"""The tag of a run that was let go: MLflow keeps its parameters and metrics in its bin, its files are removed."""


def prune_versions(client: MlflowClient, project: str, kept: Kept, dry_run: bool) -> Iterator[Finding]:
    """Takes versions out of the registry; their verdicts stay in the ledger.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        kept: What is kept.
        dry_run: Whether to find only.

    Yields:
        What was let go.
    """
    for number in kept.dropped:
        if not dry_run:
            client.delete_model_version(project, str(number))
        sentence = f"version {number} of {project} serves nobody and is not among the newest: taken out of the registry"
        yield Finding("version", f"{project} {number}", "removed", sentence)


def prune_runs(client: MlflowClient, project: str, kept: Kept, dry_run: bool) -> Iterator[Finding]:
    """Lets the runs of trainings and trials go that no kept version needs.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        kept: What is kept.
        dry_run: Whether to find only.

    Yields:
        What was let go.
    """
    experiment = client.get_experiment_by_name(project)
    if experiment is None:
        return
    for run in [*_unneeded(client, experiment.experiment_id, kept), *_interrupted(client, experiment.experiment_id)]:
        if not dry_run:
            _let_go(client, project, run)
        name = f"{run.info.run_name} ({run.info.run_id})"
        sentence = f"MLflow's run {name} of {project} led to nothing that is kept: put into MLflow's bin"
        yield Finding("training", run.info.run_id, "removed", sentence)


def _unneeded(client: MlflowClient, experiment: str, kept: Kept) -> list[Run]:
    return [
        run
        for run in _runs(client, experiment, deleted=False)
        if kept.since
        and began(run) < kept.since
        and run.info.status != "RUNNING"
        and TRAINED & set(run.data.tags)
        and not {run.info.run_id, run.data.tags.get("mlflow.parentRunId")} & kept.runs
    ]


def _interrupted(client: MlflowClient, experiment: str) -> list[Run]:
    """Finds the runs whose files a killed prune has left."""
    binned = _runs(client, experiment, deleted=True)
    return [run for run in binned if PRUNED in run.data.tags and any(map(Path.exists, _files(run)))]


def _let_go(client: MlflowClient, project: str, run: Run) -> None:
    if run.info.lifecycle_stage == "active":
        client.set_tag(run.info.run_id, PRUNED, "true")
        client.delete_run(run.info.run_id)
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for model in models:
        client.delete_logged_model(model.model_id)
        _remove(project, f"models/{model.model_id}")
    for place in _files(run):
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def _files(run: Run) -> list[Path]:
    """Names what lies on this machine of a run: its artifacts where MLflow is embedded, and its profile as cached."""
    settings = Settings()
    cached = settings.home / "references" / f"{run.info.run_id}.bin"
    directory = Path(run.info.artifact_uri.removeprefix("file://")).parent
    return [directory, cached] if settings.mlflow_database else [cached]


def _remove(project: str, name: str) -> None:
    settings = Settings()
    if settings.mlflow_database:
        shutil.rmtree(settings.home / "mlartifacts" / project / name, ignore_errors=True)


def _runs(client: MlflowClient, experiment: str, *, deleted: bool) -> list[Run]:
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return list(every_page(lambda token: client.search_runs([experiment], "", view, page_token=token)))
