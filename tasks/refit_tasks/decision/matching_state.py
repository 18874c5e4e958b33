"""The match of a project's table and the ledger: if one is gone while the other is there, a run stops before it begins.

Without the check a retrain would load everything again beside the record of a champion, or begin a new record beside a
table that another champion was trained on.
"""

from __future__ import annotations

from pathlib import Path

from refit.errors import StateError
from refit.project import Project
from refit_infra.settings import Settings
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries
from refit_tasks.storage.delta import open_table, uri_of


def require_matching_state(definition: Project) -> None:
    """Requires that neither the table nor the ledger of a project is gone while the other is there.

    A table without a ledger entry is told for a project with a derived contract alone, since that contract is recorded
    before the first rows are written.

    Args:
        definition: The project.

    Raises:
        StateError: If one of the two is gone; nothing is changed.
    """
    name, stored = definition.name, _is_stored(definition.name)
    known = bool(entries(name, newest=1))
    if not stored and known and current_champion(name):
        raise StateError(
            f"the table of {name} is gone from {uri_of(name)}, though the ledger has a champion of it: put the table "
            f"back from a backup, or set REFIT_STORE_URI to where it is"
        )
    if stored and not known and definition.expectations is None:
        place = "REFIT_DATABASE_URL" if Settings().database_url else Settings().ledger
        raise StateError(
            f"the ledger ({place}) has no entry of {name}, though its table is at {uri_of(name)}: put the ledger back "
            f"from a backup, or move the table away to start anew"
        )


def _is_stored(name: str) -> bool:
    """Tells whether a table exists; where it lies on this machine, without opening it."""
    place = uri_of(name)
    return open_table(name) is not None if "://" in place else Path(place, "_delta_log").is_dir()
