"""Snapshots: rows of a project's table pinned by version, window and fingerprint; their split; and the watermark.

The watermark, up to which rows have been ingested, is stored in the commits of the data, so the two cannot disagree.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import fingerprint
from refit.data.split import (
    TICK,
    Times,
    count_unseen,
    from_microseconds,
    holdout_start,
    mature_window,
    require_enough,
    to_microseconds,
    training_window,
)
from refit.errors import LeakyHoldout, NoNewData, NotEnoughData
from refit.project import Project
from refit.records.references import Champion, SnapshotRef, Split
from refit.windows import BEGINNING, Window, format_time
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, schema_of, within
from refit_tasks.storage.snapshot_rows import open_at_version, row_condition

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction


log = logging.getLogger(__name__)

APPLICATION = "refit-ingest"
"""The application transaction of the watermark."""


@define_task("take a snapshot of {definition.name}")
def take_snapshot(definition: Project, until: datetime) -> SnapshotRef:
    """Pins all rows of a project's table before a time.

    Args:
        definition: The project.
        until: The end of the snapshot, UTC, exclusive.

    Returns:
        The rows from the earliest event time on; the fingerprint covers every cell.

    Raises:
        NotEnoughData: If there is no table, or no row before that time.
    """
    table = open_table(definition.name)
    window = Window(min(BEGINNING, until), until)
    times = () if table is None else read(table, [definition.timestamp], within(definition.timestamp, window))
    first = min((pc.min(part.column(0)).as_py() for part in times if part.num_rows), default=None)
    if table is None or first is None:
        raise NotEnoughData(
            f"{definition.name} has no rows before {format_time(until)}: correct its load, or give a later time"
        )
    snapshot = _pin(definition, table, Window(first, until), labelled=False)
    with_project(log, definition.name).info("%s rows at table version %d", f"{snapshot.rows:,}", snapshot.version)
    return snapshot


@define_task("split {snapshot.rows} rows of {definition.name} by time")
def split(
    definition: Project,
    snapshot: SnapshotRef,
    as_of: datetime,
    champion: Champion | None = None,
    *,
    again: bool = False,
) -> Split:
    """Splits a snapshot's mature rows by time into training rows and, a label delay later, a holdout.

    Args:
        definition: The project, for its label delay and policies.
        snapshot: The rows.
        as_of: The time of the retrain, UTC; labels that arrive later are not known yet.
        champion: The serving model, if any; it must not have been trained on the holdout.
        again: Whether the holdout may hold rows that the champion was trained on if there are too few others. The
            model that was judged before the champion's final fit then takes its place.

    Returns:
        Both parts, labelled rows only.

    Raises:
        NotEnoughData: If a part has fewer rows than the policies require.
        NoNewData: If the champion was trained on all rows.
        LeakyHoldout: If the champion was trained on rows later than `as_of`.
    """
    mature = mature_window(snapshot.window, as_of, definition.label_delay)
    known = mature.end
    table = open_at_version(definition, snapshot.version)
    times = _read_event_times(definition, table, mature)
    if not len(times):
        raise NotEnoughData(
            f"{definition.name} has no row with a known {definition.target} before {format_time(known)}: "
            f"wait for labels"
        )
    if champion:
        _require_later_than_champion(champion, as_of)
    cut = _find_holdout_start(definition, times, champion, again=again)
    window = training_window(snapshot.window.start, cut, definition.label_delay, definition.training)
    parts = Split(
        train=restrict(definition, snapshot, window, labelled=True, table=table),
        holdout=restrict(definition, snapshot, Window(cut, known), labelled=True, table=table),
    )
    require_enough(definition, parts)
    with_project(log, definition.name).info(
        "%s rows to train on, %s held out from %s on",
        f"{parts.train.rows:,}",
        f"{parts.holdout.rows:,}",
        format_time(cut),
    )
    return parts


def _require_later_than_champion(champion: Champion, as_of: datetime) -> None:
    seen_until = champion.model.trained_on.window.end
    if as_of + TICK < seen_until:
        raise LeakyHoldout(
            f"champion version {champion.version} of {champion.model.project} was trained on rows until "
            f"{format_time(seen_until)}, later than the retrain's {format_time(as_of)}: retrain with a later --as-of"
        )


def _find_holdout_start(definition: Project, times: Times, champion: Champion | None, *, again: bool) -> datetime:
    """Finds the start of the holdout, such that the champion or its stand-in was trained on none of it."""
    if champion is None:
        return holdout_start(times, definition.training)
    seen_until = champion.model.trained_on.window.end
    new, least = count_unseen(times, seen_until), 2 * definition.gate.min_rows
    if new >= least:
        return holdout_start(times, definition.training, seen_until)
    if again and champion.judged:
        return max(holdout_start(times, definition.training), champion.judged.trained_on.window.end)
    what = f"{definition.name} has {new:,} mature rows that champion version {champion.version} was not trained on"
    remedies = (
        "wait for rows, or give a later --as-of"
        if champion.judged is None
        else ("wait for rows, give a later --as-of, or add --force to judge on those it was judged on before")
    )
    if new:
        raise NotEnoughData(f"{what}, {least - new:,} fewer than twice the gate.min_rows of {least // 2:,}: {remedies}")
    raise NoNewData(f"{what}: {remedies}")


def restrict(
    definition: Project, ref: SnapshotRef, window: Window, labelled: bool, table: DeltaTable | None = None
) -> SnapshotRef:
    """Restricts a snapshot to a window.

    Args:
        definition: The project.
        ref: The snapshot.
        window: The event times of the part, inside those of the snapshot.
        labelled: Whether rows without a label are left out.
        table: The project's table at the snapshot's version, if it is open already.

    Returns:
        The part, with its own row count and fingerprint.
    """
    return _pin(definition, table or open_at_version(definition, ref.version), window, labelled=labelled)


def last_ingested(project: str) -> datetime | None:
    """Reads the watermark of a project.

    Args:
        project: The project's name.

    Returns:
        The first instant after the newest ingested event time, UTC; `None` before the first ingest.
    """
    table = open_table(project)
    return None if table is None else watermark(table)


def _pin(definition: Project, table: DeltaTable, window: Window, *, labelled: bool) -> SnapshotRef:
    ref = SnapshotRef(definition.name, table.version(), window, 0, "", labelled)
    content = fingerprint(read(table, where=row_condition(definition, ref)), schema_of(table))
    return replace(ref, rows=content.rows, fingerprint=str(content))


def _read_event_times(definition: Project, table: DeltaTable, window: Window) -> Times:
    """Reads the event times of the labelled rows of a window, sorted."""
    ref = SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True)
    parts = read(table, [definition.timestamp], row_condition(definition, ref))
    times = [part.column(0).cast(pa.int64()).to_numpy() for part in parts]
    return np.sort(np.concatenate(times)) if times else np.empty(0, np.int64)


def watermark(table: DeltaTable) -> datetime | None:
    """Reads the watermark from an open table.

    Args:
        table: The project's table.

    Returns:
        The first instant after the newest ingested event time, UTC; `None` before the first ingest.
    """
    version = table.transaction_version(APPLICATION)
    return None if version is None else from_microseconds(version)


def watermark_transaction(table: DeltaTable | None, until: datetime) -> Transaction:
    """Makes the application transaction that carries the watermark of a commit.

    Args:
        table: The table before the commit.
        until: The first instant after the newest event time of the batch. The end of the load would be wrong: a load
            up to 2062 does not return tomorrow's rows. The watermark never moves back.

    Returns:
        The application transaction.
    """
    from deltalake import Transaction

    before = watermark(table) if table else None
    return Transaction(APPLICATION, to_microseconds(max(before or until, until)))


def load_window(
    definition: Project, table: DeltaTable | None, until: datetime, since: datetime | None = None
) -> Window:
    """Chooses the event times that an ingest loads.

    Args:
        definition: The project, for its lookback.
        table: The project's table; `None` before the first ingest.
        until: The end of the load, UTC.
        since: An earlier start, for rows that arrived later than the lookback.

    Returns:
        All event times for the first ingest; later those from the watermark minus the lookback, for late and corrected
        rows. A `since` after that start would leave a gap and has no effect.
    """
    before = watermark(table) if table else None
    start = min(BEGINNING, until) if before is None else min(before, until) - definition.lookback
    return Window(min(start, since or start), until)
