"""Ingestion: new rows are loaded, checked against the data contract, and written to the table or the quarantine."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from refit.data.split import Times
from refit.data.target import require_number_target
from refit.project import Project
from refit.records.references import Ingestion
from refit.windows import Window, format_window
from refit_tasks.ingestion.batch import resolve_schema, validate_batch
from refit_tasks.ingestion.column_types import adopt_first_types
from refit_tasks.ingestion.load import stage_load
from refit_tasks.ingestion.quarantine import quarantine_rows
from refit_tasks.ingestion.row_filter import TIME, RowFilter
from refit_tasks.ingestion.upsert import CommitCounts, UpsertBatch, commit_batch, require_full_window
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.snapshots import load_window
from refit_tasks.storage.staging import staging_area
from refit_tasks.validation.contract import find_contract, record_contract

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


@define_retry_task("ingest {definition.name}", delay_seconds=2)
def ingest(definition: Project, until: datetime, since: datetime | None = None) -> Ingestion:
    """Loads new and possibly corrected rows, validates them, and commits them.

    The first ingest loads everything before `until`; a later one begins at the newest ingested event time minus the
    project's lookback. Rows are staged on disk, so memory holds only a few pieces. The quarantine is written first,
    then the rows and the watermark in one commit: after a crash the next ingest loads the same rows and finds those
    that are written already.

    Args:
        definition: The project.
        until: The end of the load, UTC; rows with a later event time are quarantined.
        since: An earlier start of the load, for rows that arrived later than the lookback.

    Returns:
        The row counts; all zero, with nothing written, if the load returns no rows.

    Raises:
        LoadFailed: If the project's load fails.
        ContractViolation: If the batch as a whole breaks the contract; neither table is changed then.
    """
    table = open_table(definition.name)
    window = load_window(definition, table, until, since)
    with staging_area(definition.name) as area:
        raw, schemas = stage_load(definition, definition.load, window, area)
        if not raw.rows:
            with_project(log, definition.name).info("no new rows from %s", format_window(window))
            return Ingestion(definition.name, window, _version_of(table), 0, 0, 0, 0, 0)
        table = adopt_first_types(definition, table, schemas, window.end)
        expected = schema_of(table) if table else None
        row_filter = RowFilter(definition, resolve_schema(definition, expected, schemas), window, area)
        if expected is None:
            require_number_target(definition, raw)
        row_filter.cast(raw)
        done = _validate_and_commit(row_filter, definition, table, window, area)
    with_project(log, definition.name).info(
        "%d rows in, %d accepted (%d added, %d corrected), %s",
        done.rows_in,
        done.accepted,
        done.added,
        done.corrected,
        done.left_out,
    )
    return done


def _validate_and_commit(
    row_filter: RowFilter, definition: Project, table: DeltaTable | None, window: Window, area: Path
) -> Ingestion:
    """Validates the rows that were cast to the schema, and commits the accepted ones."""
    contract = find_contract(definition, row_filter.schema, lambda: iter(row_filter.cast_rows))
    warnings = validate_batch(definition, contract, row_filter, window)
    batch = UpsertBatch(
        definition, row_filter.schema, row_filter.accepted, lambda: _event_times(row_filter, definition), window, area
    )
    require_full_window(batch, table)
    quarantine_rows(definition, row_filter.rejected, window.end, row_filter.schema)
    if row_filter.accepted_rows:
        # Before the commit: a derived contract without its rows does no harm, but rows without a contract would let
        # the next batch, perhaps a single day, define it.
        record_contract(definition, contract, window.end)
    committed = commit_batch(batch) if row_filter.accepted_rows else CommitCounts(_version_of(table), 0, 0)
    return Ingestion(
        project=definition.name,
        window=window,
        version=committed.version,
        rows_in=row_filter.accepted_rows + row_filter.rejected.rows,
        accepted=row_filter.accepted_rows,
        quarantined=row_filter.rejected.rows - row_filter.superseded,
        superseded=row_filter.superseded,
        added=committed.added,
        corrected=committed.corrected,
        warnings=warnings,
        broken=row_filter.broken,
    )


def _version_of(table: DeltaTable | None) -> int:
    return table.version() if table else -1


def _event_times(row_filter: RowFilter, definition: Project) -> Times:
    """Reads the event times of all rows of the batch, rejected ones included."""
    accepted = (piece[definition.timestamp] for piece in row_filter.accepted())
    rejected = (piece[TIME].drop_null() for piece in row_filter.rejected)
    columns = [column.cast(pa.int64()).to_numpy() for part in (accepted, rejected) for column in part]
    return np.concatenate([np.empty(0, np.int64), *columns])
