"""False-alarm rate and power of a project's drift alarms, measured on the champion's reference rows."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import bottom_k_sample
from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import Reference, compare_with_reference, make_reference
from refit.drift.power import CalibrationResult, any_alarm, applicable_changes, apply_change
from refit.drift.profile import Profile, build_profile
from refit.errors import NotEnoughData, ProjectError
from refit.monitoring.label_maturity import window_length
from refit.policies.monitoring import DriftPolicy
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.records.references import Champion
from refit.windows import Window
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import schema_of
from refit_tasks.storage.snapshot_rows import open_at_version, read_chunks

log = logging.getLogger(__name__)

ROWS = 300_000
"""The most rows of a reference that are looked at; of a longer one a uniform sample stands for all."""
STRETCHES = 24
"""The most stretches of two windows that are held out of the reference in turn."""
CHANGED_STRETCHES = 6
"""Of those, so many get planted changes, column by column."""


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The reference without two neighbouring windows, and those two."""

    rest: pa.Table
    windows: tuple[tuple[Window, pa.Table], ...]


def calibrate_alarms(definition: Project, champion: Champion, seed: int) -> CalibrationResult:
    """Measures false-alarm rate and power at the project's window size.

    Two neighbouring windows at a time are held out of the reference and compared with the rest of it, which has not
    drifted by definition; then changes are planted in them.

    Args:
        definition: The project.
        champion: The version that serves; the rows it was trained on are the reference.
        seed: Draws the rows of planted changes.

    Returns:
        Both, and whether the reference is large enough to know its own movement.

    Raises:
        ProjectError: If the project does not watch drift.
        NotEnoughData: If the reference has fewer rows than two windows need.
    """
    policy = definition.monitoring.drift
    if policy is None:
        raise ProjectError(f"{definition.name} has no drift policy: set monitoring.drift to calibrate its alarms")
    parts = _hold_out_windows(definition, champion, policy)
    found = []
    for place, part in enumerate(parts, start=1):
        found.append(_compare_unchanged(definition, part, policy))
        with_project(log, definition.name).info("%d of %d stretches without a change judged", place, len(parts))
    fired = sum(any_alarm(windows, policy) for windows in found)
    calibrated = all(drift.calibrated for windows in found for drift in windows)
    power = _measure_power(
        definition,
        parts[:: max(1, len(parts) // CHANGED_STRETCHES)][:CHANGED_STRETCHES],
        policy,
        np.random.default_rng(seed),
    )
    return CalibrationResult(
        project=definition.name,
        length=parts[0].windows[0][0].length,
        window_rows=int(np.median([rows.num_rows for part in parts for _, rows in part.windows])),
        reference_rows=int(np.median([part.rest.num_rows for part in parts])),
        windows=len(found),
        alarms=fired,
        calibrated=calibrated,
        found=power,
    )


def _hold_out_windows(definition: Project, champion: Champion, policy: DriftPolicy) -> list[_HeldOut]:
    rows = _read_reference_rows(definition, champion)
    trained = champion.model.trained_on.window
    length = window_length(definition.monitoring.window, trained)
    steps = max(1, int((trained.length - 2 * length) / (length / 2)) + 1)
    starts = [trained.start + place * length / 2 for place in range(steps)]
    parts = [_hold_out(definition.timestamp, rows, start, length) for start in starts[:: -(-steps // STRETCHES)]]
    least = policy.min_rows
    enough = [part for part in parts if min(part.rest.num_rows, *(each.num_rows for _, each in part.windows)) >= least]
    if not enough:
        raise NotEnoughData(
            f"{definition.name}: no two windows of {length} in the champion's reference hold {least} rows each: "
            f"set a longer monitoring.window or a smaller monitoring.drift.min_rows"
        )
    return enough


def _read_reference_rows(definition: Project, champion: Champion) -> pa.Table:
    ref = champion.model.trained_on
    table = open_at_version(definition, ref.version)
    names = schema_of(table).names
    identity = list(definition.key or names)
    columns = [definition.timestamp, *definition.features_of(names)]
    rows = bottom_k_sample(read_chunks(definition, ref, [*columns, *identity], table), identity, ROWS)
    if rows is None:
        raise NotEnoughData(f"the rows that {definition.name}'s champion was trained on are gone: retrain it")
    return rows.select(dict.fromkeys(columns))


def _hold_out(timestamp: str, rows: pa.Table, start: datetime, length: timedelta) -> _HeldOut:
    times, kind = rows.column(timestamp), rows.column(timestamp).type

    def since(moment: datetime) -> pa.ChunkedArray:
        aware = getattr(kind, "tz", None) is not None
        return pc.greater_equal(times, pa.scalar(moment if aware else moment.replace(tzinfo=None), kind))

    first, second, after = (since(start + place * length) for place in range(3))
    windows = tuple(
        (Window(start + place * length, start + (place + 1) * length), rows.filter(pc.and_(begun, pc.invert(over))))
        for place, (begun, over) in enumerate(((first, second), (second, after)))
    )
    return _HeldOut(rows.filter(pc.or_(pc.invert(first), after)), windows)


def _compare_unchanged(definition: Project, part: _HeldOut, policy: DriftPolicy) -> list[Drift]:
    columns = [name for name in part.rest.column_names if name != definition.timestamp]
    data = _build_reference_profile(definition, part.rest, columns)
    reference = make_reference(data, None, 0)
    cells = data.current_binning()
    return [
        compare_with_reference(reference, build_profile([rows], cells, definition.timestamp), None, window, policy)
        for window, rows in part.windows
    ]


def _build_reference_profile(definition: Project, rows: pa.Table, columns: list[str]) -> Profile:
    times = rows.column(definition.timestamp).cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    return build_profile([rows], make_binning(rows, columns, times, count_blocks(rows.num_rows)), definition.timestamp)


def _measure_power(
    definition: Project, parts: list[_HeldOut], policy: DriftPolicy, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Plants each change in each column; Holm's correction asks the most of a single changed column."""
    columns = [name for name in parts[0].rest.column_names if name != definition.timestamp]
    alone = policy.model_copy(update={"significance": policy.significance / len(columns), "rules": ()})
    hits: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for place, name in enumerate(columns, start=1):
        for part in parts:
            reference = Reference(_build_reference_profile(definition, part.rest, [name]), None, 0.5, 1.0)
            for change in applicable_changes(part.rest.column(name)):
                found = any_alarm(_compare_changed(definition, reference, part, name, change, alone, rng), alone)
                hits[change][name].append(found)
        with_project(log, definition.name).info("changes planted in %d of %d columns", place, len(columns))
    return {
        change: {name: sum(found) / len(found) for name, found in by_name.items()} for change, by_name in hits.items()
    }


def _compare_changed(
    definition: Project,
    reference: Reference,
    part: _HeldOut,
    name: str,
    change: str,
    policy: DriftPolicy,
    rng: np.random.Generator,
) -> list[Drift]:
    found = []
    for window, rows in part.windows:
        values = apply_change(rows.column(name), change, part.rest.column(name), rng)
        changed = rows.set_column(rows.column_names.index(name), name, values)
        current = build_profile([changed], reference.data.current_binning(), definition.timestamp)
        found.append(compare_with_reference(reference, current, None, window, policy))
    return found
