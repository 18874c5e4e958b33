"""The rows that a check looks at: the newest ones, loaded and split as a first retrain does it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.split import Times, holdout_start, mature_window, require_enough, training_window, window_of
from refit.errors import NotEnoughData
from refit.project import Project
from refit.records.references import SnapshotRef, Split
from refit.windows import BEGINNING, Window, format_time
from refit_tasks.ingestion.load import stage_load
from refit_tasks.storage.snapshot_rows import to_frame
from refit_tasks.storage.staging import SpilledTables

FIT_ROWS = 2_000
"""The number of newest labelled rows that the estimator is fitted on."""
MAX_LOADED = 50_000
"""The number of rows after which a load is not asked for more."""
_LOOKBACKS = (timedelta(days=30), timedelta(days=365), None)
"""The spans that are loaded one after the other until there are enough rows; `None` loads everything."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The loaded rows, staged on disk."""

    raw: SpilledTables
    """The pieces as loaded."""
    schemas: list[pa.Schema]
    """Their distinct schemas."""
    whole: bool
    """Whether these are all rows before the time of the check."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """The labelled rows, split by time."""

    refs: Split
    """Window and number of rows of both parts; there is no table that they are stored in."""
    train: pd.DataFrame
    holdout: pd.DataFrame


def load_sample(definition: Project, as_of: datetime, area: Path) -> Sample:
    """Loads rows before a time from longer and longer spans, until enough of them have a label.

    Args:
        definition: The project.
        as_of: The end of each loaded window, UTC.
        area: The staging directory.

    Returns:
        The rows, some 50,000 at most.

    Raises:
        NotEnoughData: If the load returns no row.
        LoadFailed: If the load fails or returns something other than frames.
    """
    for number, span in enumerate(_LOOKBACKS):
        start = as_of - span - 2 * definition.label_delay if span else min(BEGINNING, as_of)
        (directory := area / f"sample-{number}").mkdir()
        raw, schemas = stage_load(definition, definition.load, Window(start, as_of), directory, MAX_LOADED)
        if sum(_count_labels(piece, definition.target) for piece in raw) >= _wanted_labels(definition):
            break
    if not raw.rows:
        raise NotEnoughData(f"the load returns no rows before {format_time(as_of)}: correct it, or give a later time")
    return Sample(raw, schemas, whole=span is None and raw.rows < MAX_LOADED)


def split_sample(definition: Project, pieces: Iterable[pa.Table], as_of: datetime, *, whole: bool) -> SplitRows:
    """Splits accepted rows by time as a first retrain does: training rows, then a label delay, then a holdout.

    Args:
        definition: The project.
        pieces: The accepted rows.
        as_of: The time of the check, UTC; labels that arrive later are not known yet.
        whole: Whether these are all rows; a part of them may have fewer than the policies require.

    Returns:
        Both parts, labelled rows only.

    Raises:
        NotEnoughData: If no row has a known label, or a part has fewer rows than the policies require.
    """
    rows = to_frame(pa.concat_tables(pieces)).sort_values(
        [definition.timestamp, *definition.key], kind="stable", ignore_index=True
    )
    every = window_of(_microseconds(rows[definition.timestamp]))
    mature = mature_window(Window(every.start, as_of), as_of, definition.label_delay)
    known = rows[mature.holds(rows[definition.timestamp])].dropna(subset=[definition.target])
    if known.empty:
        raise NotEnoughData(
            f"none of {len(rows):,} rows has a label in {definition.target!r} that is known at {format_time(as_of)}: "
            f"correct the load, or wait for labels"
        )
    cut = holdout_start(_microseconds(known[definition.timestamp]), definition.training)
    parts = [training_window(every.start, cut, definition.label_delay, definition.training), Window(cut, mature.end)]
    frames = [known[part.holds(known[definition.timestamp])].reset_index(drop=True) for part in parts]
    refs = [
        SnapshotRef(definition.name, -1, part, len(frame), "", labelled=True)
        for part, frame in zip(parts, frames, strict=True)
    ]
    if whole:
        require_enough(definition, Split(*refs))
    return SplitRows(Split(*refs), *frames)


def choose_fit_rows(definition: Project, train: pd.DataFrame) -> pd.DataFrame:
    """Chooses the rows that the estimator is fitted on.

    Args:
        definition: The project.
        train: The training rows, sorted by event time.

    Returns:
        The newest 2,000, or all rows if these have a single label and older ones have others.
    """
    newest, target = train.tail(FIT_ROWS), definition.target
    return newest if newest[target].nunique() > 1 or train[target].nunique() <= 1 else train


def _wanted_labels(definition: Project) -> int:
    """Returns the number of labelled rows from which on both parts of the split have enough."""
    held, share = definition.gate.min_rows, definition.training.holdout_share
    return max(FIT_ROWS, math.ceil(2 * held / share), math.ceil(2 * definition.training.min_rows / (1 - share)))


def _count_labels(piece: pa.Table, target: str) -> int:
    if target not in piece.column_names:
        return 0
    column = piece[target]
    return len(column) - int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)


def _microseconds(times: pd.Series[pd.Timestamp]) -> Times:
    return np.asarray(times.dt.as_unit("us").astype("int64"), np.int64)
