"""Repetition of erasures after a restore: a backup has the rows that were erased since it was made.

No key is on record. The ledger has a salted hash of each erased value; the values of the restored tables are hashed
with the same salt, which every backup has, and those with a recorded hash are erased again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refit.data.rejected_rows import decode_rows
from refit.errors import LedgerBroken, RefitError, StateError
from refit.project import Project
from refit.records.ledger import Entry, find_broken_entry
from refit.results.erasures import Keys
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.label_inbox import inbox_of
from refit_tasks.ledger.archives import parse_entries
from refit_tasks.maintenance.erase import erase_keys
from refit_tasks.maintenance.erasure_records import has_salt, hash_value
from refit_tasks.maintenance.keyed_tables import find_key_columns
from refit_tasks.storage.predictions_table import predictions_of
from refit_tasks.storage.quarantine_table import quarantine_of
from refit_tasks.storage.table_files import TableFiles


@dataclass(frozen=True, slots=True)
class RepeatedErasure:
    """An erasure that was recorded after a backup."""

    entry: int
    """The ledger entry in the export."""
    project: str
    rows: int
    """The number of rows that were erased again."""
    outcome: str
    """What was done, in a sentence."""


def read_erasures(export: Path, after: int) -> list[Entry]:
    """Reads the erasures that an export of the ledger has after an entry.

    Args:
        export: A file that `refit ledger export` has written.
        after: The number of the newest entry of the backup.

    Returns:
        The entries of the kind `erasure`, oldest first.

    Raises:
        StateError: If the file cannot be read, or is of one project alone.
        LedgerBroken: If the chain of the export is broken.
    """
    try:
        found = list(parse_entries(export.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise StateError(f"{export} is no export of a ledger: name a file that `refit ledger export` wrote") from fault
    if found and (broken := find_broken_entry(found, (found[0].id - 1, found[0].previous))):
        raise LedgerBroken(f"entry {broken} of {export} does not follow the one before it: export the whole ledger")
    return [one for one in found if one.kind == "erasure" and one.id > after]


def repeat_erasures(erasures: list[Entry], who: str, at: datetime) -> Iterator[RepeatedErasure]:
    """Erases rows again.

    Args:
        erasures: From `read_erasures`.
        who: The person who restores.
        at: When, UTC.

    Yields:
        What was done for each of them; an erasure that cannot be repeated is one, too.
    """
    for made in erasures:
        hashes = made.payload.get("values") or {}
        if not hashes or not has_salt():
            why = "the backup has no salt" if hashes else "a former release recorded it without hashes of its values"
            outcome = f"cannot be repeated, since {why}: run `refit forget {made.project}` with its key"
            yield RepeatedErasure(made.id, made.project, 0, outcome)
            continue
        try:
            yield _repeat(made, hashes, who, at)
        except RefitError as fault:
            yield RepeatedErasure(made.id, made.project, 0, f"cannot be repeated: {fault}")


def _repeat(made: Entry, hashes: dict[str, list[str]], who: str, at: datetime) -> RepeatedErasure:
    definition = find_project(made.project)
    keys = _find_keys(definition, hashes)
    if not all(keys.values()):
        return RepeatedErasure(made.id, made.project, 0, "matches no row of the restored tables")
    erasure, _ = erase_keys(definition, keys, who, f"repeated after a restore: entry {made.id} of the lost ledger", at)
    return RepeatedErasure(made.id, made.project, erasure.rows, f"was repeated: {erasure.rows:,} rows")


def _find_keys(definition: Project, hashes: dict[str, list[str]]) -> Keys:
    """Finds the values whose hashes are on record."""
    found: dict[str, tuple[str, ...]] = {}
    for column, known in hashes.items():
        texts = sorted(_list_values(definition, column))
        found[column] = tuple(text for text in texts if hash_value(definition.name, column, text) in known)
    return found


def _list_values(definition: Project, column: str) -> set[str]:
    """Lists the values of a key column in all tables and their former versions, as text."""
    found = set[str]()
    for cells in _read_columns(definition.name, lambda names: [column] if column in names else []):
        found |= _as_texts(cells)
    for cells in _read_columns(predictions_of(definition.name), lambda names: find_key_columns(column, names)):
        found |= _as_texts(cells)
    for name in (quarantine_of(definition), inbox_of(definition.name)):
        for cells in _read_columns(name, lambda _: ["row"]):
            for _, raw in decode_rows(cells.to_pylist()):
                found |= _as_texts(raw[column].combine_chunks()) if column in raw.column_names else set()
    return found


def _read_columns(name: str, find: Callable[[list[str]], list[str]]) -> Iterator[pa.Array]:
    files = TableFiles(name)
    for path in files.list_data_files():
        file = pq.ParquetFile(files.open(path))
        for column in find(file.schema_arrow.names):
            yield file.read([column])[column].combine_chunks()


def _as_texts(cells: pa.Array) -> set[str]:
    try:
        return set(pc.unique(cells.cast(pa.string())).drop_null().to_pylist())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, bytes: no key is one
        return set()
