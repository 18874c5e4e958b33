"""Rows that arrived too late: older than the look-back of an ingest, and in neither the table nor the quarantine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import cast_table
from refit.data.fingerprint import IdentityIndex, row_identities
from refit.data.rejected_rows import decode_rows
from refit.data.split import Times, window_of
from refit.errors import LoadFailed
from refit.project import Project
from refit.records.references import Ingestion, LateRows
from refit.windows import BEGINNING, Window
from refit_tasks.ingestion.load import read_pieces
from refit_tasks.prefect_tasks import define_retry_task
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, schema_of
from refit_tasks.storage.quarantine_table import quarantine_of, read_quarantine

if TYPE_CHECKING:
    from deltalake import DeltaTable


log = logging.getLogger(__name__)


@define_retry_task("look for late rows of {definition.name}")
def find_late_rows(definition: Project, ingestion: Ingestion) -> Ingestion:
    """Finds the rows that an ingest passed over, by loading the time before its window once more.

    A row is known by its key; without a key by all cells but the target, so that a correction counts as a late row.
    Memory holds some 24 bytes per row. A load that cannot return old rows is no fault of the run: it only gives a
    warning.

    Args:
        definition: The project.
        ingestion: The ingest.

    Returns:
        The ingest with the rows that it passed over, if there are any.
    """
    table, before = open_table(definition.name), _choose_window(definition, ingestion.window)
    if table is None or before.start == before.end:
        return ingestion
    try:
        times = _find_unknown_times(definition, table, before)
    except LoadFailed as fault:
        return replace(ingestion, warnings=(*ingestion.warnings, f"late rows could not be looked for: {fault}"))
    if not len(times):
        return ingestion
    late = LateRows(len(times), window_of(times))
    with_project(log, definition.name).warning("%s", late.describe(definition.name))
    return replace(ingestion, late=late)


def _choose_window(definition: Project, loaded: Window) -> Window:
    """Chooses the time before a load, as far back as rows are kept."""
    keep = definition.ingestion.keep
    first = max(BEGINNING, loaded.end - keep) if keep else BEGINNING
    return Window(min(first, loaded.start), loaded.start)


def _find_unknown_times(definition: Project, table: DeltaTable, window: Window) -> Times:
    """Finds the event times of the rows of a load that neither the table nor the quarantine has."""
    schema = _identifying_columns(definition, table)
    found = list(_summarize(definition, window, schema))
    identities = np.concatenate([np.empty(0, "S16"), *(names for names, _ in found)])
    times = np.concatenate([np.empty(0, np.int64), *(moments for _, moments in found)])
    _, first = np.unique(identities, return_index=True)
    identities, times = identities[first], times[first]
    for known in (read(table, schema.names), _read_quarantined(definition, schema)):
        unknown = np.ones(len(identities), np.bool_)
        index = IdentityIndex(identities)
        for part in known if len(identities) else ():
            places = index.find(row_identities(part, schema.names))
            unknown[places[places >= 0]] = False
        identities, times = identities[unknown], times[unknown]
    return times


def _identifying_columns(definition: Project, table: DeltaTable) -> pa.Schema:
    fields = schema_of(table)
    if definition.key:
        return pa.schema([fields.field(name) for name in definition.key])
    return pa.schema([field for field in fields if field.name != definition.target])


def _summarize(definition: Project, window: Window, schema: pa.Schema) -> Iterator[tuple[np.ndarray, Times]]:
    moment = pa.field(definition.timestamp, pa.timestamp("us", "UTC"))
    wanted = pa.schema([*(field for field in schema if field.name != moment.name), moment])
    start, end = (pa.scalar(bound, moment.type) for bound in (window.start, window.end))
    for raw in read_pieces(definition, definition.load, window):
        rows, _ = cast_table(raw, wanted)
        times = rows[definition.timestamp]
        inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
        for name in definition.key:
            inside = pc.and_(inside, rows[name].is_valid())
        rows = rows.filter(inside)
        yield row_identities(rows, schema.names), rows[definition.timestamp].cast(pa.int64()).to_numpy()


def _read_quarantined(definition: Project, schema: pa.Schema) -> Iterator[pa.Table]:
    held = open_table(quarantine_of(definition))
    texts = [row.row for row in read_quarantine(held)] if held else []
    for _, piece in decode_rows(texts):
        yield cast_table(piece, schema)[0]
