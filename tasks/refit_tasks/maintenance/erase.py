"""Erases somebody's rows: from every table of a project, and from every former version of these that is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from refit.errors import StateError
from refit.project import Project
from refit.results.erasures import Erasure, Keys
from refit_tasks.decision.lock import holding
from refit_tasks.maintenance.doctor_tables import mend_staging, mend_tables
from refit_tasks.maintenance.erase_table import erase_from_table
from refit_tasks.maintenance.erasure_plan import plan_erasure
from refit_tasks.maintenance.erasure_records import begun, ended, erasure_of, hash_of, was_begun
from refit_tasks.maintenance.key_holders import holders_of
from refit_tasks.maintenance.lock import removing
from refit_tasks.storage.staging import nobody_writing

log = logging.getLogger(__name__)


def find_rows(definition: Project, keys: Keys) -> Erasure:
    """Finds what an erasure would take, and changes nothing.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        What is there.

    Raises:
        ProjectError: If a value is none that a column of the key can hold.
    """
    return plan_erasure(definition, holders_of(definition, keys), hash_of(definition.name, keys))


@removing()
def forget_rows(definition: Project, keys: Keys, who: str, why: str, at: datetime) -> tuple[Erasure, int | None]:
    """Erases rows. Killed at any moment and done again, it ends the same, with one entry in the ledger.

    What a crash has left beside the tables goes first: scratch space and files that no version names hold rows, too.

    Args:
        definition: The project.
        keys: Whose rows.
        who: The person who does it.
        why: Their reason.
        at: When, UTC.

    Returns:
        What was erased, and the entry that says so; `None` where there was nothing.

    Raises:
        ProjectError: If a value is none that a column of the key can hold.
        StateError: If a retrain, an ingest or a backup is under way, or the tables cannot be written.
    """
    with _alone(definition.name):
        holders, key = holders_of(definition, keys), hash_of(definition.name, keys)
        erasure = plan_erasure(definition, holders, key)
        if not erasure.files and not was_begun(definition.name, key):
            return erasure, None
        entry = begun(erasure, definition.name, {"who": who, "why": why}, at)
        for holder in holders:
            erase_from_table(holder, key)
        ended(definition.name, key)
    erased = erasure_of(entry)
    log.info("%s: %d rows were erased from %d tables", definition.name, erased.rows, len(erased.tables))
    return erased, entry.id


@contextmanager
def _alone(project: str) -> Iterator[None]:
    """Keeps retrains and ingests of this machine away."""
    with holding(project, seconds=0) as free:
        if free:
            for _ in (*mend_staging(dry_run=False), *mend_tables(project, dry_run=False)):
                pass
            with nobody_writing() as quiet:
                if quiet:
                    yield
                    return
    raise StateError(f"a retrain or an ingest of {project} is under way: run again when it has ended")
