"""Export of the ledger as JSON lines, oldest entry first, with the hashes that chain the entries."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from refit.errors import StateError
from refit.records.ledger import Entry, canonical_json
from refit_tasks.errors import require_writable
from refit_tasks.ledger.database import ledger, reading
from refit_tasks.ledger.transactions import as_entry


def export_ledger(project: str | None, out: Path) -> tuple[Path, int]:
    """Exports the ledger to a file, which is replaced atomically.

    Args:
        project: The project whose entries are exported; all if `None`.
        out: The file.

    Returns:
        The absolute path of the file, and the number of entries.

    Raises:
        StateError: If the file cannot be written or the ledger cannot be read.
    """
    file, count = require_writable(out, "--out"), 0
    try:
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
            for line in export_lines(project):
                draft.write(line + "\n")
                count += 1
        os.replace(draft.name, file)  # noqa: PTH105 - one step, and both are names
    except OSError as error:
        raise StateError(f"{file} cannot be written ({error.strerror}): give another place with `--out`") from error
    return file, count


def export_lines(project: str | None) -> Iterator[str]:
    """Streams the ledger as lines of an export.

    Args:
        project: The project whose entries are exported; all if `None`.

    Yields:
        Canonical JSON, the oldest entry first.

    Raises:
        StateError: If the ledger cannot be read.
    """
    query = select(ledger).order_by(ledger.c.id)
    with reading() as connection:
        rows = connection.execution_options(yield_per=1_000).execute(
            query if project is None else query.where(ledger.c.project == project)
        )
        for row in rows:
            yield as_line(as_entry(row))


def as_line(entry: Entry) -> str:
    """Converts an entry to its line of an export.

    Args:
        entry: The entry.

    Returns:
        Canonical JSON, without a line break.
    """
    return canonical_json(
        {
            "id": entry.id,
            "project": entry.project,
            "kind": entry.kind,
            "at": entry.at.isoformat(),
            "once": entry.once,
            "payload": entry.payload,
            "previous": entry.previous,
            "hash": entry.hash,
        }
    )
