"""The code that a version was made with, run in place of today's once it is sure that it is what the ledger names.

The rows that the record of a version names, as they are now: the same ones, other ones, or none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from refit_tasks.storage.snapshot_rows import read_rows
from refit_tasks.storage.snapshots import restrict


@contextmanager
def load_recorded_project(definition: Project, model: ModelRef, recipe: Recipe) -> Iterator[tuple[Project, str]]:
    """Gives the project as it was when a model was made: today's file if it is the same, else the recorded one.

    Args:
        definition: The project as it is now.
        model: The model, whose run keeps the code.
        recipe: What the ledger says the code was.

    Yields:
        The project; and `today's` or `recorded`.

    Raises:
        CannotReproduce: If the code is gone, or not what the ledger names; nothing of it has run then.
        BrokenProject: If it cannot be imported any more.
    """
    if definition.file is not None and code_matches(definition.file, recipe.file_hash):
        yield definition, "today's"
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = fetch_recorded_code(definition, model, recipe, Path(scratch))
        with substitute_code(definition.file or file, file):
            yield read_project(file), "recorded"


def read_recorded_holdout(definition: Project, ref: SnapshotRef) -> tuple[pd.DataFrame, tuple[RecipeChange, ...]]:
    """Reads the rows that a version was judged on.

    Args:
        definition: The project.
        ref: The rows.

    Returns:
        The rows in the order of their event times; and what is to be said if they are not what they were.

    Raises:
        CannotReproduce: If they cannot be read any more.
    """
    try:
        rows, now = read_rows_by_time(definition, ref), _fingerprint(definition, ref)
    except Exception as fault:  # the table's engine raises bare exceptions where a file is gone
        raise CannotReproduce(
            f"data: the rows of version {ref.version} of the table {ref.project} cannot be read ({_one_line(fault)}): "
            f"restore the table's files from a backup"
        ) from fault
    return rows, () if now == ref.fingerprint else (_describe_change(ref, now, "the rows that it was judged on"),)


def read_recorded_training_rows(
    definition: Project, ref: SnapshotRef
) -> tuple[pd.DataFrame | None, tuple[RecipeChange, ...]]:
    """Reads the rows that a version was trained on, or what an erasure has left of them; no other ones.

    Args:
        definition: The project.
        ref: The rows.

    Returns:
        The rows, and what is to be said if some were erased; or `None`, and why.
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
        said = f"{missing.rows:,} rows of {what} were erased on {missing.last:%Y-%m-%d} (refit why {missing.entry})"
        return RecipeChange("data", f"{ref.rows:,} rows", said)
    return RecipeChange("data", f"fingerprint {ref.fingerprint}", f"fingerprint {now}")


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
