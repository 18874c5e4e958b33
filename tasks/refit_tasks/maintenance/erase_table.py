"""Erasure of rows from one Delta table: from the newest version by a commit, from former ones by replacing files.

A commit alone would leave the rows in the files of former versions, and their keys in the statistics of the log. Those
versions may be what a model was trained on, so they stay readable, without these rows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from refit.errors import StateError
from refit_tasks.maintenance.erase_delta_log import Replacement, list_named_files, rewrite_log, scrub_statistics
from refit_tasks.maintenance.keyed_tables import KeyedTable
from refit_tasks.retries import CONFLICT_TRIES
from refit_tasks.storage.delta import (
    ROW_GROUP,
    is_appended,
    open_table,
    quoted,
    read,
    retry_on_conflict,
    schema_of,
)
from refit_tasks.storage.table_files import TableFiles

if TYPE_CHECKING:
    from deltalake import DeltaTable

UNDER_WAY = timedelta(hours=1)
"""A file that no version names may be one that a server is about to add, for so long."""


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """What a table holds of somebody."""

    files: Mapping[str, int]
    """From each file that has such rows to how many."""
    newest: frozenset[str]
    """All files of the newest version."""
    unmatched: int = 0
    """The number of files that lack a column of the key: whose rows they hold cannot be told."""

    @property
    def rows(self) -> int:
        """How many rows of the newest version are meant."""
        return sum(rows for path, rows in self.files.items() if path in self.newest)


def find_in_table(holder: KeyedTable) -> MatchedRows:
    """Looks for rows in every file of a table, those of former versions and those that no version names included.

    Args:
        holder: The table, and whose rows.

    Returns:
        What it holds of them.
    """
    files, table = TableFiles(holder.name), open_table(holder.name)
    counts = {path: _count_matches(files, path, holder) for path in files.list_data_files()}
    newest = frozenset(list_paths(table)) if table else frozenset()
    unmatched = sum(rows is None for rows in counts.values())
    return MatchedRows({path: rows for path, rows in counts.items() if rows}, newest, unmatched)


def list_paths(table: DeltaTable) -> set[str]:
    """Names the files of a version.

    Args:
        table: The table at that version.

    Returns:
        Their paths from the table's directory.
    """
    return {unquote(path) for path in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()}


def erase_from_table(holder: KeyedTable, secret: str) -> None:
    """Takes rows out of a table and of its whole history. Killed at any moment and done again, it ends the same.

    Args:
        holder: The table, and whose rows.
        secret: What nobody can guess, the same for the same keys: it goes into the names of the new files.

    Raises:
        StateError: If others keep adding such rows.
    """
    files, held = TableFiles(holder.name), _delete_from_newest(holder)
    named = list_named_files(files) if held.files else set()
    others = {path: _write_without(files, path, holder, secret) for path in held.files if path in named}
    rewrite_log(files, others)
    moments = {one.path: one.changed_at for one in files.list_files()}
    for path in held.files:
        if path in named or _is_unclaimed(holder.name, moments.get(path)):
            files.remove(path)
    scrub_statistics(files)


def _delete_from_newest(holder: KeyedTable) -> MatchedRows:
    """Deletes the rows from the newest version, until only files of former ones hold any."""
    for _ in range(CONFLICT_TRIES):
        retry_on_conflict(lambda: _delete(holder), holder.name)
        held = find_in_table(holder)
        if not held.rows:
            return held
    raise StateError(f"rows of that key keep coming into the table {holder.name}: stop what writes them, and run again")


def _delete(holder: KeyedTable) -> None:
    """Deletes by a join with the rows themselves: a condition would stand in the log with the key in it."""
    from deltalake import CommitProperties, WriterProperties

    table = open_table(holder.name)
    names = holder.needed(schema_of(table).names) if table else []
    if table is None or not names:
        return
    gone = [part.filter(pa.array(holder.matches_key(part))) for part in read(table, names)]
    rows = pa.concat_tables([part for part in gone if part.num_rows]) if any(part.num_rows for part in gone) else None
    if rows is None:
        return
    same = {name: "IS NOT DISTINCT FROM" if rows[name].null_count else "=" for name in names}
    table.merge(
        rows.group_by(names).aggregate([]),
        predicate=" AND ".join(f"held.{quoted(name)} {is_} gone.{quoted(name)}" for name, is_ in same.items()),
        source_alias="gone",
        target_alias="held",
        writer_properties=WriterProperties(max_row_group_size=ROW_GROUP),
        commit_properties=CommitProperties(max_commit_retries=0),
    ).when_matched_delete().execute()


def _count_matches(files: TableFiles, path: str, holder: KeyedTable) -> int | None:
    """Counts somebody's rows in a file; `None` if it has rows, but lacks a column of the key."""
    try:
        file = pq.ParquetFile(files.open(path))
    except FileNotFoundError:  # a server has just put small files together
        return 0
    names = holder.needed(file.schema_arrow.names)
    if not names:
        return None if file.metadata.num_rows else 0
    parts = file.iter_batches(ROW_GROUP, columns=names)
    return sum(int(holder.matches_key(pa.Table.from_batches([part])).sum()) for part in parts)


def _write_without(files: TableFiles, path: str, holder: KeyedTable, secret: str) -> Replacement | None:
    """Writes what a file holds beside such rows to another one, whose name a second try finds again."""
    name = f"part-00000-{uuid5(NAMESPACE_URL, secret + path)}-c000.zstd.parquet"
    place = str(PurePosixPath(path).parent / name)
    old, sink = pq.ParquetFile(files.open(path)), io.BytesIO()
    schema, rows = pa.schema([field.with_type(_make_filterable(field.type)) for field in old.schema_arrow]), 0
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in old.iter_batches(ROW_GROUP):
            part = pa.Table.from_batches([batch]).cast(schema)
            kept = part.filter(pa.array(~holder.matches_key(part)))
            rows += kept.num_rows
            if kept.num_rows:
                writer.write_table(kept)
    if not rows:
        return None
    files.write(place, sink.getvalue())
    return Replacement(place, len(sink.getvalue()), rows)


def _make_filterable(kind: pa.DataType) -> pa.DataType:
    """Gives a type that can be filtered: what a merge has written calls its texts views."""
    if pa.types.is_list(kind):
        return pa.list_(_make_filterable(kind.value_type))
    return pa.string() if pa.types.is_string_view(kind) else kind


def _is_unclaimed(name: str, changed_at: datetime | None) -> bool:
    if changed_at is None or not is_appended(name):  # nobody else is writing: the caller has seen to that
        return True
    return changed_at < datetime.now(UTC) - UNDER_WAY
