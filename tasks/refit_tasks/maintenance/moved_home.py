"""A home that was moved: MLflow's embedded database knows its artifacts by absolute addresses, which are rewritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from refit.results.maintenance import Finding
from refit_infra.settings import Settings
from refit_tasks.errors import translate_store_errors

_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Where MLflow's database says where artifacts lie; all of them absolute."""


def repair_places(project: str, dry_run: bool) -> Iterator[Finding]:
    """Tells the embedded MLflow where the artifacts lie, if the home was moved since a project's experiment was made.

    Args:
        project: The project's name.
        dry_run: Whether to find only.

    Yields:
        What was found.

    Raises:
        StateError: If MLflow's database cannot be read or written.
    """
    settings = Settings()
    database, now = settings.mlflow_database, settings.mlflow_artifacts
    former = _find_former_place(database, project) if database and database.exists() else None
    if database is None or former in (None, now):
        return
    if not dry_run:
        relocate_artifacts(database, str(former), now)
    sentence = f"the home was moved, and MLflow looked for the files of {project} in {former}: now in {now}"
    yield Finding("artifacts", project, "relocated", sentence)


def _find_former_place(database: Path, project: str) -> str | None:
    with translate_store_errors(str(database), "REFIT_HOME"), closing(sqlite3.connect(database)) as connection:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        place = connection.execute(query, (project,)).fetchone()
    return str(place[0]).removesuffix(f"/{project}") if place else None


def relocate_artifacts(database: Path, former: str, now: str) -> None:
    """Tells MLflow's database that its artifacts lie somewhere else now: it knows them by absolute addresses.

    Args:
        database: The embedded one.
        former: Where they lay, as a URI.
        now: Where they lie.

    Raises:
        StateError: If it cannot be written.
    """
    with (
        translate_store_errors(str(database), "REFIT_HOME"),
        closing(sqlite3.connect(database)) as connection,
        connection,
    ):
        for table, columns in _PLACES.items():
            for column in columns:
                # The names are ours; a place begins with the former one or is left alone.
                moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608
                connection.execute(moved, (now, len(former) + 1, len(former) + 1, f"{former}/"))
