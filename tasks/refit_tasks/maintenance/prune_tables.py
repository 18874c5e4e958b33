"""Retention in Delta tables: removal of files that no kept version needs, and compaction of small files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from refit.errors import StateError
from refit.results.maintenance import Finding
from refit_tasks.maintenance.prune_models import KeptState
from refit_tasks.storage.delta import FILE_BYTES, open_table, retry_on_conflict, uri_of
from refit_tasks.storage.predictions_table import PARTITION, predictions_of

if TYPE_CHECKING:
    from deltalake import DeltaTable

MANY, SMALL_BYTES = 64, 8 << 20
"""So many files below this size are put together: each costs a reader some milliseconds."""


def compact(name: str, dry_run: bool) -> Iterator[Finding]:
    """Puts small files of a table together; former versions keep theirs.

    Args:
        name: The table's name.
        dry_run: Whether to find only.

    Yields:
        What was done.
    """
    table = open_table(name)
    sizes = _read_sizes(table) if table else {}
    small = sum(size < SMALL_BYTES for size in sizes.values())
    if table is None or small < MANY:
        return
    if not dry_run:
        table.optimize.compact(target_size=FILE_BYTES, max_concurrent_tasks=1)
    yield Finding("table", name, "compacted", f"the table {name} had {small} small files: compacted")


def prune_table(name: str, kept: KeptState, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Removes the files of table versions that no kept model was trained or judged on.

    Args:
        name: The table's name, which is the project's.
        kept: What is kept.
        hours: How long a file stays that the newest version has let go: somebody may be reading the one before.
        dry_run: Whether to find only.

    Yields:
        What was let go.

    Raises:
        StateError: If a kept version cannot be read, or would lose a file; nothing is removed then.
    """
    table = open_table(name)
    if table is None:
        return
    versions = sorted({*(ref.version for ref in kept.rows if ref.project == name), table.version()})
    needed = {path for version in versions for path in _list_needed_files(name, version)}
    doomed = table.vacuum(round(hours), dry_run=True, enforce_retention_duration=False, keep_versions=versions)
    if lost := needed & set(doomed):
        raise StateError(
            f"the table {name} would lose {len(lost)} files that kept versions need, such as {min(lost)}: nothing was "
            f"removed; report this"
        )
    there = _find_existing(table, doomed)
    if not there:
        return
    if not dry_run:
        table.vacuum(round(hours), dry_run=False, enforce_retention_duration=False, keep_versions=versions)
    sentence = f"{len(there)} files of the table {name} held rows of versions that nothing kept needs: removed"
    yield Finding("table", name, "removed", sentence)


def prune_predictions(project: str, keep_days: float | None, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Lets go of predictions that are too old, whole days at a time, and of files that nothing names any more.

    Args:
        project: The project's name.
        keep_days: How long a prediction is kept; for ever, if `None`.
        hours: How long a file stays that the newest version has let go.
        dry_run: Whether to find only.

    Yields:
        What was let go.
    """
    name = predictions_of(project)
    table = open_table(name)
    if table is None:
        return
    if keep_days is not None:
        first = (datetime.now(UTC) - timedelta(days=keep_days)).date()
        old = _count_older(table, first)
        if old and not dry_run:
            retry_on_conflict(partial(_delete_before, name, first), name)
            table.update_incremental()
        if old:
            yield Finding("table", name, "removed", f"{old:,} predictions of before {first} in {name}: removed")
    yield from vacuum_table(name, hours, dry_run)


def vacuum_table(name: str, hours: float, dry_run: bool) -> Iterator[Finding]:
    """Removes the files of former versions of a table of which nobody needs one.

    Args:
        name: The table's name.
        hours: How long a file stays that the newest version has let go.
        dry_run: Whether to find only.

    Yields:
        What was let go.
    """
    table = open_table(name)
    there = (
        _find_existing(table, table.vacuum(round(hours), dry_run=True, enforce_retention_duration=False))
        if table
        else []
    )
    if table and there and not dry_run:
        table.vacuum(round(hours), dry_run=False, enforce_retention_duration=False)
    if there:
        yield Finding("table", name, "removed", f"{len(there)} files of former versions of {name}: removed")


def _count_older(table: DeltaTable, first: date) -> int:
    import pyarrow as pa

    files = pa.table(table.get_add_actions(flatten=True)).select([f"partition.{PARTITION}", "num_records"]).to_pylist()
    return sum(file["num_records"] for file in files if file[f"partition.{PARTITION}"] < first)


def _delete_before(name: str, first: date) -> None:
    if table := open_table(name):
        table.delete(f"{PARTITION} < DATE '{first}'")


def _find_existing(table: DeltaTable, paths: list[str]) -> list[str]:
    """Leaves out the files that were removed before: the table's log names them for ever."""
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import FileType

    found = DeltaStorageHandler(table.table_uri).get_file_info(paths)
    return [info.path for info in found if info.type == FileType.File]


def _list_needed_files(name: str, version: int) -> set[str]:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return set(_read_sizes(DeltaTable(uri_of(name), version=version)))
    except DeltaError as error:
        raise StateError(
            f"version {version} of the table {name}, which a kept model needs, cannot be read ({error}): nothing was "
            f"removed; restore the table from a backup"
        ) from error


def _read_sizes(table: DeltaTable) -> dict[str, int]:
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
