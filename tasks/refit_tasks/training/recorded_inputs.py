"""The recorded inputs of a version: its project code, its holdout and its training rows, checked against the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from refit.errors import CannotReproduce
from refit.project import Project
from refit.records.recipes import Recipe, RecipeChange
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.catalog import read_project
from refit_tasks.evaluation.evaluate import read_rows_by_time
from refit_tasks.ledger.erasures import find_erased_rows
from refit_tasks.project_code.files import code_matches
from refit_tasks.project_code.imports import substitute_code
from refit_tasks.registry.own_code import fetch_recorded_code
from refit_tasks.scratch import scratch_area
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import restrict


@contextmanager
def load_recorded_project(definition: Project, model: ModelRef, recipe: Recipe) -> Iterator[tuple[Project, str]]:
    """Loads the project as it was when a model was trained: from today's file if unchanged, else from the stored copy.

    Args:
        definition: The project as it is now.
        model: The model, whose MLflow run holds the copy.
        recipe: The recipe in the ledger, with the hash of the code.

    Yields:
        The project, and `today's` or `recorded` for the code that was used.

    Raises:
        CannotReproduce: If the copy is missing or its hash is not the recorded one. None of its code has run then.
        BrokenProject: If the recorded code can no longer be imported.
    """
    if definition.file is not None and code_matches(definition.file, recipe.file_hash):
        yield definition, "today's"
        return
    with scratch_area(definition.name) as scratch:
        file = fetch_recorded_code(definition, model, recipe, scratch)
        with substitute_code(definition.file or file, file):
            yield read_project(file), "recorded"


def read_recorded_holdout(definition: Project, ref: SnapshotRef) -> tuple[pd.DataFrame, tuple[RecipeChange, ...]]:
    """Reads the holdout that a version was judged on.

    Args:
        definition: The project.
        ref: The holdout as recorded.

    Returns:
        The rows, sorted by event time, and the change if they differ from the recorded ones.

    Raises:
        CannotReproduce: If the rows can no longer be read.
    """
    try:
        rows, now = read_rows_by_time(definition, ref), _fingerprint(definition, ref)
    except Exception as fault:  # the table's engine raises bare exceptions where a file is gone
        raise CannotReproduce(
            f"data: version {ref.version} of the table {ref.project} cannot be read ({_one_line(fault)}): "
            f"restore the table's files from a backup"
        ) from fault
    return rows, () if now == ref.fingerprint else (_describe_change(ref, now, "its holdout"),)


def read_recorded_training_rows(
    definition: Project, ref: SnapshotRef
) -> tuple[pd.DataFrame | None, tuple[RecipeChange, ...]]:
    """Reads the rows that a version was trained on, or those that an erasure left of them.

    Args:
        definition: The project.
        ref: The training rows as recorded.

    Returns:
        The rows, and the change if some were erased; `None` and the reason if the rows are missing or others.
    """
    try:
        now = _fingerprint(definition, ref)
        missing = find_erased_rows(ref)
        same = now == ref.fingerprint or (missing is not None and now == missing.left)
        rows = read_rows(definition, ref) if same else None
    except Exception as fault:  # noqa: BLE001 - as above
        return None, (RecipeChange("data", f"table version {ref.version}", f"cannot be read: {_one_line(fault)}"),)
    return rows, () if now == ref.fingerprint else (_describe_change(ref, now, "its training data"),)


def _fingerprint(definition: Project, ref: SnapshotRef) -> str:
    return restrict(definition, ref, ref.window, labelled=ref.labelled).fingerprint


def _describe_change(ref: SnapshotRef, now: str, what: str) -> RecipeChange:
    missing = find_erased_rows(ref)
    if missing and now == missing.left:
        now = f"{missing.rows:,} rows of {what} were erased on {missing.last:%Y-%m-%d} (refit why {missing.entry})"
        return RecipeChange("data", f"{ref.rows:,} rows", now)
    return RecipeChange("data", f"fingerprint {ref.fingerprint}", f"fingerprint {now}")


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
