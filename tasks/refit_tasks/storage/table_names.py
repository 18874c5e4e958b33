"""Which Delta tables there are: a project's own, and those beside it."""

from __future__ import annotations

from pathlib import Path

from refit_infra.settings import Settings
from refit_tasks.ledger.record import known_projects

PREDICTIONS = "__predictions"
"""What follows the project's name in that of its predictions' table, which other processes append to at any time."""
LABELS = "__labels"
"""What follows it in that of the inbox of labels, which servers append to at any time as well."""
APPENDED = (PREDICTIONS, LABELS)
BESIDE = ("", "__quarantine", *APPENDED)
"""What follows the project's name; on an object store, whose directories are not listed."""


def tables_of(project: str | None = None) -> list[str]:
    """Names the tables.

    Args:
        project: Only this project's; all, if `None`.

    Returns:
        Their names, some of tables that may not be there yet.
    """
    settings = Settings()
    if settings.store_uri:
        projects = [project] if project else sorted(known_projects())
        return [f"{name}{suffix}" for name in projects for suffix in BESIDE]
    root = Path(settings.tables)
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [name for name in names if project is None or name.partition("__")[0] == project]
