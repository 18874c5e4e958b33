"""The repair of MLflow after a crash: trainings left running, versions without a verdict, orphaned files, the alias."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from refit.errors import ProjectError
from refit.records.references import Champion
from refit.results.maintenance import Finding
from refit_infra.settings import Settings
from refit_tasks.catalog import find_project
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import ALL_ENTRIES, entries
from refit_tasks.maintenance.moved_home import repair_places
from refit_tasks.maintenance.prune_models import OURS
from refit_tasks.promotion.champion import find_champion
from refit_tasks.promotion.lost_champion import has_files, is_registered, register_again
from refit_tasks.registry.alias import GENERATION, aliased_version, follow_ledger
from refit_tasks.registry.mlflow_client import open_mlflow, read_pages
from refit_tasks.registry.unfinished_runs import (
    close_training,
    fail_model,
    find_open_trainings,
    find_pending_models,
    from_milliseconds,
    read_start,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion


REMOTE_GRACE = timedelta(days=1)
"""On a server that others train on, too, a run counts as dead after so long: their locks cannot be seen from here."""


def repair_models(project: str, dry_run: bool) -> Iterator[Finding]:
    """Puts right what dead trainings of a project left; only who holds the project's turn may.

    Args:
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If the ledger cannot be read.
    """
    database = Settings().mlflow_database
    if database and not database.exists():
        return
    yield from repair_places(project, dry_run)
    client = open_mlflow()
    experiment = client.get_experiment_by_name(project)
    if experiment:
        yield from _end_trainings(client, experiment.experiment_id, dry_run)
    yield from _remove_orphans(client, project, dry_run)
    yield from repair_champion(project, dry_run)
    if (serving := current_champion(project)) is None or is_registered(serving):
        yield from repair_alias(client, project, dry_run)
    if experiment and database:
        yield from _remove_files(client, project, experiment.experiment_id, dry_run)


def repair_champion(project: str, dry_run: bool) -> Iterator[Finding]:
    """Registers a champion again whose version was removed in MLflow, or says how to replace it.

    Args:
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If the ledger cannot be read or written.
    """
    serving = current_champion(project)
    if serving is None:
        return
    name, registered, stored = f"version {serving.version} of {project}", is_registered(serving), has_files(serving)
    if registered and stored:
        return
    replace = f"replace it with `refit retrain {project} --force`"
    if not stored:
        yield Finding("version", f"{project} {serving.version}", "left", f"the files of {name} are missing: {replace}")
        return
    again = None if dry_run else register_again(serving, datetime.now(UTC))
    if not dry_run and again is None:
        sentence = f"{name} is missing in MLflow, and its verdict in the ledger: {replace}"
        yield Finding("version", f"{project} {serving.version}", "left", sentence)
        return
    number = f" as version {again.version}" if again else ""
    sentence = f"{name} is the champion and was missing in MLflow: registered again{number} from its files"
    yield Finding("version", f"{project} {serving.version}", "registered", sentence)


def _end_trainings(client: MlflowClient, experiment: str, dry_run: bool) -> Iterator[Finding]:
    """Ends dead trainings with the models that they were writing, and models whose training was ended before."""
    runs = [run for run in find_open_trainings(client, experiment) if read_start(run) <= _find_cutoff()]
    closed = {run.info.run_id for run in runs}
    models = [
        model
        for model in find_pending_models(client, experiment)
        if from_milliseconds(model.creation_timestamp) <= _find_cutoff() and model.source_run_id not in closed
    ]
    yield from _close_trainings(client, runs, dry_run)
    yield from _fail_models(client, models, dry_run)


def _close_trainings(client: MlflowClient, runs: list[Run], dry_run: bool) -> Iterator[Finding]:
    for run in runs:
        if not dry_run:
            close_training(client, run)
        name = f"{run.info.run_name} ({run.info.run_id})"
        sentence = f"MLflow's run {name} was left running by a killed training: ended as KILLED"
        yield Finding("training", run.info.run_id, "closed", sentence)


def _fail_models(client: MlflowClient, models: list[LoggedModel], dry_run: bool) -> Iterator[Finding]:
    for model in models:
        if not dry_run:
            fail_model(client, model)
        sentence = f"MLflow's logged model {model.model_id} was left pending by a killed training: marked FAILED"
        yield Finding("model", model.model_id, "closed", sentence)


def _remove_orphans(client: MlflowClient, project: str, dry_run: bool) -> Iterator[Finding]:
    """Deletes versions that were registered and never judged; a rerun of their training registers the model again."""
    judged = {made.payload["version"] for made in entries(project, "verdict", newest=ALL_ENTRIES)}
    for version in client.search_model_versions(f"name = '{project}'"):
        young = from_milliseconds(version.creation_timestamp) > _find_cutoff()
        if OURS not in version.tags or int(version.version) in judged or young:
            continue
        if not dry_run:
            client.delete_model_version(project, version.version)
        sentence = f"version {version.version} of {project} has no verdict in the ledger: deleted from the registry"
        yield Finding("version", f"{project} {version.version}", "removed", sentence)


def _find_cutoff() -> datetime:
    """With the embedded store every training is on this machine, and whoever holds the turn knows that none lives."""
    now = datetime.now(UTC)
    return now if Settings().mlflow_database else now - REMOTE_GRACE


def _remove_files(client: MlflowClient, project: str, experiment: str, dry_run: bool) -> Iterator[Finding]:
    root = Settings().home / "mlartifacts" / project
    owned = _list_known_ids(client, experiment)
    for directory in [*_directories(root), *_directories(root / "models")]:
        if directory.name in owned or directory == root / "models":
            continue
        if not dry_run:
            shutil.rmtree(directory)
        sentence = f"{directory} belongs to no run and no model that MLflow knows: removed"
        yield Finding("artifacts", str(directory), "removed", sentence)


def _directories(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def _list_known_ids(client: MlflowClient, experiment: str) -> set[str]:
    """Lists the ids of all runs and logged models of an experiment, those that a person has put in the bin included."""
    from mlflow.entities import ViewType

    runs = read_pages(lambda token: client.search_runs([experiment], "", ViewType.ALL, page_token=token))
    models = read_pages(lambda token: client.search_logged_models([experiment], page_token=token))
    return {run.info.run_id for run in runs} | {model.model_id for model in models}


def repair_alias(client: MlflowClient, project: str, dry_run: bool) -> Iterator[Finding]:
    """Brings the alias back to the champion that the ledger names.

    Where a person has moved it, the project's own policy settles that, as at the beginning of every flow.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If MLflow no longer has the champion's version.
    """
    serving, aliased = current_champion(project), aliased_version(client, project)
    if serving is None or (
        aliased and _is_champion(serving.version, serving.generation, aliased.version, aliased.tags)
    ):
        return
    if not dry_run:
        _settle_alias(project)
    yield Finding("alias", project, "moved", _describe_alias(project, serving, aliased))


def _is_champion(version: int, generation: int, aliased: str, tags: dict[str, str]) -> bool:
    return int(aliased) == version and tags.get(GENERATION) == str(generation)


def _describe_alias(project: str, serving: Champion, aliased: ModelVersion | None) -> str:
    champion = f"version {serving.version}, generation {serving.generation}"
    if aliased and int(aliased.version) == serving.version:  # a crash came before the tag, or the first release did
        return f"MLflow's alias champion of {project} points to {champion}, without a note of that: noted"
    found = f"version {aliased.version}" if aliased else "nothing"
    return f"MLflow's alias champion of {project} pointed to {found}, and the ledger's champion is {champion}: moved"


def _settle_alias(project: str) -> None:
    try:
        definition = find_project(project)
    except ProjectError:  # a project whose file is gone has no policy, and the ledger is the authority
        follow_ledger(project)
    else:
        find_champion.fn(definition)
