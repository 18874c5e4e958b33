"""The rows that the record of a version names, as they are now: the same ones, other ones, or none."""

from __future__ import annotations

import pandas as pd

from refit.errors import CannotReproduce
from refit.project import Project
from refit.recipes import Cause
from refit.snapshots import SnapshotRef
from tasks.evaluate import in_time
from tasks.snapshot import narrow
from tasks.table import read_rows


def held_out(definition: Project, ref: SnapshotRef) -> tuple[pd.DataFrame, tuple[Cause, ...]]:
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
        rows, now = in_time(definition, ref), _fingerprint(definition, ref)
    except Exception as fault:  # the table's engine raises bare exceptions where a file is gone
        raise CannotReproduce(
            f"data: the rows of version {ref.version} of the table {ref.project} cannot be read ({_said(fault)}): "
            f"restore the table's files from a backup"
        ) from fault
    return rows, () if now == ref.fingerprint else (_replaced(ref, now),)


def rows_on_record(definition: Project, ref: SnapshotRef) -> tuple[pd.DataFrame | None, tuple[Cause, ...]]:
    """Reads the rows that a version was trained on, unless they are not what they were.

    Args:
        definition: The project.
        ref: The rows.

    Returns:
        The rows; or `None`, and why.
    """
    try:
        now = _fingerprint(definition, ref)
        rows = read_rows(definition, ref) if now == ref.fingerprint else None
    except Exception as fault:  # noqa: BLE001 - as above
        return None, (Cause("data", f"table version {ref.version}", f"cannot be read: {_said(fault)}"),)
    if rows is None:
        return None, (_replaced(ref, now),)
    return rows, ()


def _fingerprint(definition: Project, ref: SnapshotRef) -> str:
    return narrow(definition, ref, ref.window, labelled=ref.labelled).fingerprint


def _replaced(ref: SnapshotRef, now: str) -> Cause:
    return Cause("data", f"fingerprint {ref.fingerprint}", f"fingerprint {now}")


def _said(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
