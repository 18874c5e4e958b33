"""Erasure of a key's rows from all tables of a project and their kept versions, and the plan of its effects."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import fingerprint
from refit.errors import StateError
from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import ModelRef, SnapshotRef
from refit.results.erasures import Erasure, Keys, RowsAfterErasure
from refit_tasks.decision.lock import project_lock
from refit_tasks.ledger.database import reading
from refit_tasks.ledger.erasures import erasure_of
from refit_tasks.ledger.generations import generations_of
from refit_tasks.ledger.record import ALL_ENTRIES, entries
from refit_tasks.maintenance.doctor_tables import repair_staging, repair_tables
from refit_tasks.maintenance.erase_table import MatchedRows, erase_from_table, find_in_table, list_paths
from refit_tasks.maintenance.erasure_records import (
    begin_erasure,
    end_erasure,
    hash_keys,
    hash_values,
    is_begun,
)
from refit_tasks.maintenance.keyed_tables import KeyedTable, Mask, list_tables
from refit_tasks.maintenance.lock import removal_lock
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.snapshot_rows import open_at_version, row_condition
from refit_tasks.storage.staging import no_ingest_running
from refit_tasks.storage.table_files import TableFiles

if TYPE_CHECKING:
    from deltalake import DeltaTable


log = logging.getLogger(__name__)


def find_erasure(definition: Project, keys: Keys) -> Erasure:
    """Finds what an erasure would take, and changes nothing.

    Args:
        definition: The project.
        keys: Whose rows.

    Returns:
        What is there.

    Raises:
        ProjectError: If a value is none that a column of the key can hold.
    """
    return plan_erasure(definition, list_tables(definition, keys), hash_keys(definition.name, keys))


@removal_lock()
def erase_keys(definition: Project, keys: Keys, who: str, why: str, at: datetime) -> tuple[Erasure, int | None]:
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
    with _exclusive_access(definition.name):
        holders, key = list_tables(definition, keys), hash_keys(definition.name, keys)
        erasure = replace(plan_erasure(definition, holders, key), values=hash_values(definition, keys))
        if not erasure.files and not is_begun(definition.name, key):
            return erasure, None
        entry = begin_erasure(erasure, definition.name, {"who": who, "why": why}, at)
        for holder in holders:
            erase_from_table(holder, key)
        end_erasure(definition.name, key)
    erased = erasure_of(entry)
    with_project(log, definition.name).info("%d rows were erased from %d tables", erased.rows, len(erased.tables))
    return erased, entry.id


@contextmanager
def _exclusive_access(project: str) -> Iterator[None]:
    """Keeps retrains and ingests of this machine away."""
    with project_lock(project, seconds=0) as free:
        if free:
            for _ in (*repair_staging(dry_run=False), *repair_tables(project, dry_run=False)):
                pass
            with no_ingest_running() as quiet:
                if quiet:
                    yield
                    return
    raise StateError(f"a retrain or an ingest of {project} is under way: run again when it has ended")


def plan_erasure(definition: Project, holders: list[KeyedTable], key: str) -> Erasure:
    """Looks through all tables of a project for somebody's rows, and changes nothing.

    Args:
        definition: The project.
        holders: Its tables, and whose rows.
        key: The hash of the keys.

    Returns:
        What is there to be erased.
    """
    held = {one.name: find_in_table(one) for one in holders}
    found = {name: one.rows for name, one in held.items() if one.files}
    shrunk, versions = tuple[RowsAfterErasure, ...](), set[int]()
    own = next((one for one in holders if one.name == definition.name), None)
    if own and held[own.name].files:
        on_record = _find_snapshots(definition.name)
        shrunk = _count_affected(definition, own, held[own.name], list(on_record))
        versions = {version for one in shrunk for version in on_record[one.rows]}
    return Erasure(
        key=key,
        tables=found,
        files=sum(len(one.files) for one in held.values()),
        snapshots=shrunk,
        versions=tuple(sorted(versions)),
        unique=_count_unique(definition, own) if own else {},
        unmatched={name: one.unmatched for name, one in held.items() if one.unmatched},
    )


def _find_snapshots(project: str) -> dict[SnapshotRef, set[int]]:
    """Lists the rows that models were trained or judged on, each with the versions of these models."""
    found = defaultdict[SnapshotRef, set[int]](set)
    for made in entries(project, "verdict", newest=ALL_ENTRIES):
        judgement = from_payload(Judgement, made.payload)
        for model in (judgement.model, judgement.served):
            _add_version(found, model, made.payload["version"])
        found[judgement.comparison.holdout].add(made.payload["version"])
    with reading() as connection:
        for _, champion in generations_of(connection, project):
            for model in (champion.model, champion.judged):
                _add_version(found, model, champion.version)
    return dict(found)


def _add_version(found: Mapping[SnapshotRef, set[int]], model: ModelRef | None, version: int) -> None:
    if model:
        found[model.trained_on].add(version)


def _count_affected(
    definition: Project, own: KeyedTable, held: MatchedRows, refs: list[SnapshotRef]
) -> tuple[RowsAfterErasure, ...]:
    """Counts the rows that go from each of those on record, and hashes those that stay."""
    there = {one.path for one in TableFiles(own.name).list_files()}
    files = {version: _files_of(definition, version) for version in {ref.version for ref in refs}}
    # What retention has let go nobody can rebuild anyhow.
    alive = [ref for ref in refs if files[ref.version] & set(held.files) and files[ref.version] <= there]
    return tuple(one for one in (_fingerprint_without(definition, own, ref) for ref in alive) if one.erased)


def _files_of(definition: Project, version: int) -> set[str]:
    from deltalake.exceptions import DeltaError

    try:
        return list_paths(open_at_version(definition, version))
    except DeltaError:  # its log is gone
        return set()


def _fingerprint_without(definition: Project, own: KeyedTable, ref: SnapshotRef) -> RowsAfterErasure:
    table, gone = open_at_version(definition, ref.version), 0

    def left() -> Iterator[pa.Table]:
        nonlocal gone
        for part in read(table, where=row_condition(definition, ref)):
            mask = own.matches_key(part)
            gone += int(mask.sum())
            yield part.filter(pa.array(~mask))

    content = fingerprint(left(), schema_of(table))
    return RowsAfterErasure(ref, gone, str(content))


def _read_with_mask(table: DeltaTable, own: KeyedTable, texts: list[str]) -> Iterator[tuple[pa.Table, Mask]]:
    names = list(dict.fromkeys([*own.needed(schema_of(table).names), *texts]))
    for part in read(table, names) if texts else ():
        yield part, own.matches_key(part)


def _count_unique(definition: Project, own: KeyedTable) -> dict[str, int]:
    """Counts, for each feature of text, the values that nobody else has: a model may know them by name."""
    table = open_table(own.name)
    if table is None:
        return {}
    schema = schema_of(table)
    texts = [name for name in definition.features_of(schema.names) if pa.types.is_string(schema.field(name).type)]
    theirs: dict[str, set[str]] = {name: set() for name in texts}
    for part, mask in _read_with_mask(table, own, texts):
        for name in texts:
            theirs[name] |= set(pc.unique(part[name].filter(pa.array(mask))).drop_null().to_pylist())
    theirs = {name: values for name, values in theirs.items() if values}
    for part, mask in _read_with_mask(table, own, texts) if theirs else ():
        others = part.filter(pa.array(~mask))
        for name, values in theirs.items():
            values -= set(pc.unique(others[name]).drop_null().to_pylist())
    return {name: len(values) for name, values in theirs.items() if values}
