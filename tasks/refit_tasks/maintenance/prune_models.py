"""Retention in MLflow of versions and training runs, and what a project keeps: versions with their runs and rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from refit.gate.evaluations import Judgement
from refit.records.ledger import Entry, from_payload
from refit.records.references import ModelRef, SnapshotRef
from refit.results.maintenance import Finding, select_kept_versions
from refit_infra.settings import Settings
from refit_tasks.ledger.database import reading
from refit_tasks.ledger.generations import generations_of
from refit_tasks.ledger.record import ALL_ENTRIES, entries
from refit_tasks.registry.challengers import find_pending, read_challenger
from refit_tasks.registry.mlflow_client import read_pages
from refit_tasks.registry.register import is_settled
from refit_tasks.registry.unfinished_runs import TRAINING_TAGS, read_start

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


PRUNED = "refit.pruned"
"""The tag of a run that was let go: MLflow keeps its parameters and metrics in its bin, its files are removed."""


def prune_versions(client: MlflowClient, project: str, kept: KeptState, dry_run: bool) -> Iterator[Finding]:
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
        sentence = f"version {number} of {project} is not in use and not among the newest: deleted from the registry"
        yield Finding("version", f"{project} {number}", "removed", sentence)


def prune_runs(client: MlflowClient, project: str, kept: KeptState, dry_run: bool) -> Iterator[Finding]:
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
    for run in [
        *_find_unneeded_runs(client, experiment.experiment_id, kept),
        *_find_interrupted_runs(client, experiment.experiment_id),
    ]:
        if not dry_run:
            _delete_run(client, project, run)
        name = f"{run.info.run_name} ({run.info.run_id})"
        sentence = f"MLflow's run {name} of {project} belongs to no kept version: deleted in MLflow"
        yield Finding("training", run.info.run_id, "removed", sentence)


def _find_unneeded_runs(client: MlflowClient, experiment: str, kept: KeptState) -> list[Run]:
    return [
        run
        for run in _search_runs(client, experiment, deleted=False)
        if kept.since
        and read_start(run) < kept.since
        and run.info.status != "RUNNING"
        and TRAINING_TAGS & set(run.data.tags)
        and not {run.info.run_id, run.data.tags.get("mlflow.parentRunId")} & kept.runs
    ]


def _find_interrupted_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """Finds the runs whose files a killed prune has left."""
    binned = _search_runs(client, experiment, deleted=True)
    return [run for run in binned if PRUNED in run.data.tags and any(map(Path.exists, _list_local_files(run)))]


def _delete_run(client: MlflowClient, project: str, run: Run) -> None:
    if run.info.lifecycle_stage == "active":
        client.set_tag(run.info.run_id, PRUNED, "true")
        client.delete_run(run.info.run_id)
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for model in models:
        client.delete_logged_model(model.model_id)
        _remove_artifacts(project, f"models/{model.model_id}")
    for place in _list_local_files(run):
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def _list_local_files(run: Run) -> list[Path]:
    """Names what lies on this machine of a run: its artifacts where MLflow is embedded, and its profile as cached."""
    settings = Settings()
    cached = settings.home / "references" / f"{run.info.run_id}.bin"
    directory = Path(run.info.artifact_uri.removeprefix("file://")).parent
    return [directory, cached] if settings.mlflow_database else [cached]


def _remove_artifacts(project: str, name: str) -> None:
    settings = Settings()
    if settings.mlflow_database:
        shutil.rmtree(settings.home / "mlartifacts" / project / name, ignore_errors=True)


def _search_runs(client: MlflowClient, experiment: str, *, deleted: bool) -> list[Run]:
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return list(read_pages(lambda token: client.search_runs([experiment], "", view, page_token=token)))


OURS = "refit.run_key"
"""The tag of the versions that Refit has registered; what a person registers is never let go."""


@dataclass(frozen=True, slots=True)
class KeptState:
    """What retention must not touch."""

    versions: frozenset[int]
    dropped: tuple[int, ...]
    """The other versions, oldest first."""
    runs: frozenset[str]
    """The MLflow runs of the kept versions' models, and of the models that the gate judged."""
    rows: tuple[SnapshotRef, ...]
    """What those were trained and judged on."""
    since: datetime | None
    """When the oldest of the newest kept versions was judged: what is younger stays; `None` where nothing goes."""


def find_kept(client: MlflowClient, project: str, newest: int) -> KeptState:
    """Finds what a project keeps.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        newest: How many of the newest versions.

    Returns:
        The versions, and what they need.

    Raises:
        StateError: If the ledger cannot be read.
    """
    found = {int(one.version): one for one in client.search_model_versions(f"name = '{project}'")}
    verdicts = {made.payload["version"]: made for made in entries(project, "verdict", newest=ALL_ENTRIES)}
    foreign = {number for number, one in found.items() if number not in verdicts or OURS not in one.tags}
    bound = (
        foreign | _find_aliased_versions(client, project, bool(found)) | {one.version for one in find_pending(project)}
    )
    with reading() as connection:
        champions = [champion for _, champion in generations_of(connection, project)]
    kept = select_kept_versions(found, (one.version for one in champions), bound, newest)
    kept |= {number for number in set(found) - kept if not is_settled(read_challenger(verdicts[number]))}
    judgements = [from_payload(Judgement, verdicts[number].payload) for number in kept if number in verdicts]
    models = [model for one in judgements for model in (one.model, one.served) if model]
    models += [m for one in champions if one.version in kept for m in (one.model, one.judged) if m]
    return KeptState(
        versions=kept,
        dropped=tuple(sorted(set(found) - kept)),
        runs=frozenset({*(one.run_id for one in models), *(found[number].run_id or "" for number in kept)}),
        rows=_list_snapshots(models, judgements),
        since=_find_cutoff(sorted(verdicts.values(), key=lambda made: made.id), newest),
    )


def _find_aliased_versions(client: MlflowClient, project: str, registered: bool) -> set[int]:
    if not registered:
        return set()
    return {int(version) for version in client.get_registered_model(project).aliases.values()}


def _list_snapshots(models: list[ModelRef], judgements: list[Judgement]) -> tuple[SnapshotRef, ...]:
    rows = [*(one.trained_on for one in models), *(one.comparison.holdout for one in judgements)]
    return tuple(dict.fromkeys(rows))


def _find_cutoff(verdicts: list[Entry], newest: int) -> datetime | None:
    """Something older than so many verdicts is needed by no retrain that a crash has interrupted."""
    return verdicts[-max(newest, 1)].at if len(verdicts) > newest else None
