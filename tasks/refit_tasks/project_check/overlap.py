"""The second load of a check, as the next ingest makes it: the same rows must come back with the same cells.

An ingest reloads the newest rows, and what it loads replaces what is stored. A value that depends on the loaded window,
such as a lag computed inside `load`, is missing or wrong at the start of each window and so overwrites the good one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import IdentityIndex, row_identities
from refit.data.rejected_rows import mask_value
from refit.data.split import TICK, from_microseconds
from refit.errors import LoadFailed
from refit.project import Project
from refit.windows import Window, format_time, format_window
from refit_tasks.ingestion.batch import resolve_schema
from refit_tasks.ingestion.load import stage_load
from refit_tasks.ingestion.row_filter import RowFilter

_ROUNDING = 1e-9
"""The relative difference of two numbers that another order of summation explains."""
_SHOWN = 3
"""The number of columns that a sentence names."""
_FIX = (
    "each ingest would overwrite good values: load the rows before window.start that they need, compute, and then keep "
    "the rows of the window"
)


def compare_loads(definition: Project, first: pa.Table, as_of: datetime, area: Path, most: int) -> str:
    """Loads the newest rows a second time, from the start that the next ingest would choose, and compares the cells.

    Args:
        definition: The project.
        first: The accepted rows of the first load, whose window began earlier.
        as_of: The end of the load, UTC.
        area: The staging directory.
        most: The number of rows after which the load is not asked for more.

    Returns:
        What was found, in a sentence.

    Raises:
        LoadFailed: If rows come back with other cells, do not come back, or lie outside the window.
        ContractViolation: If the columns are others.
    """
    newest = from_microseconds(pc.max(first[definition.timestamp].cast(pa.int64())).as_py())
    window = Window(newest + TICK - definition.lookback, as_of)
    if window.start > newest:
        return "each ingest begins after the newest row (ingestion.lateness and label_delay are 0)"
    second = _load_again(definition, first.schema, window, area, most)
    times = first[definition.timestamp]
    before = first.filter(pc.greater_equal(times, pa.scalar(window.start, times.type)))
    pairs = _pair_rows(definition, before, second, window)
    changed = _count_changes(definition, pairs)
    if changed:
        named = "; ".join(list(changed.values())[:_SHOWN])
        raise LoadFailed(
            f"the load of {format_window(window)} returns {before.num_rows:,} rows that the load of a longer window "
            f"returned with other values: {named}: {_FIX}"
        )
    return f"{pairs[0].num_rows:,} rows from {format_time(window.start)} on, loaded twice, have the same values"


def _load_again(definition: Project, schema: pa.Schema, window: Window, area: Path, most: int) -> pa.Table:
    """Loads and casts the rows of a window.

    Raises:
        LoadFailed: If more rows lie outside the window than an ingest would quarantine.
    """
    raw, schemas = stage_load(definition, definition.load, window, area, most)
    row_filter = RowFilter(definition, resolve_schema(definition, schema, schemas), window, area)
    row_filter.cast(raw)
    outside = sum(broken.rows for broken in row_filter.broken if broken.rule == "outside_window")
    if outside > definition.contract.quarantine_limit * raw.rows:
        raise LoadFailed(
            f"the load of {format_window(window)} returns {outside:,} of {raw.rows:,} rows with event times outside of "
            f"it: return only the rows for which window.holds(times)"
        )
    pieces = [piece.select(schema.names) for piece in row_filter.cast_rows]
    return pa.concat_tables(pieces) if pieces else schema.empty_table()


def _pair_rows(definition: Project, before: pa.Table, after: pa.Table, window: Window) -> tuple[pa.Table, pa.Table]:
    """Pairs the rows of both loads: by key, or by event time and content without one."""
    if definition.key:
        keys = row_identities(after, definition.key)
        last = ~IdentityIndex(keys).superseded() if len(keys) else np.zeros(0, np.bool_)
        after, keys = after.filter(pa.array(last)), keys[last]
        at = IdentityIndex(keys).find(row_identities(before, definition.key))
        before, after = before.filter(pa.array(at >= 0)), after.take(pa.array(at[at >= 0]))
        lost = int((at < 0).sum())
        missing = lost if not before.num_rows else 0
    else:
        missing = before.num_rows - after.num_rows
        before, after = _sort_rows(definition, before), _sort_rows(definition, after)
    if missing > 0:
        raise LoadFailed(
            f"the load of {format_window(window)} does not return {missing:,} rows that the load of a longer window "
            f"returned: return every row whose event time lies in the window"
        )
    return before, after.slice(0, before.num_rows)


def _sort_rows(definition: Project, rows: pa.Table) -> pa.Table:
    times = rows[definition.timestamp].cast(pa.int64()).to_numpy()
    return rows.take(pa.array(np.lexsort((row_identities(rows), times))))


def _count_changes(definition: Project, pairs: tuple[pa.Table, pa.Table]) -> dict[str, str]:
    """Describes each column with cells that differ; a label that the second load lacks would be kept."""
    found: dict[str, str] = {}
    for name in pairs[0].column_names:
        one, other = (table[name].combine_chunks() for table in pairs)
        differs = _differing(one, other)
        if name == definition.target:
            differs &= np.asarray(other.is_valid())
        if differs.any():
            row = int(np.flatnonzero(differs)[0])
            shown = [mask_value(definition.pii, name, str(cells[row].as_py())[:40]) for cells in (one, other)]
            found[name] = f"{name!r} in {int(differs.sum()):,} rows, such as {shown[0]} and then {shown[1]}"
    return found


def _differing(one: pa.Array, other: pa.Array) -> npt.NDArray[np.bool_]:
    if pa.types.is_floating(one.type):
        left, right = (cells.to_numpy(zero_copy_only=False) for cells in (one, other))
        scale = float(np.nanmax(np.abs(left), initial=0.0)) if len(left) else 0.0
        close: npt.NDArray[np.bool_] = np.isclose(left, right, _ROUNDING, _ROUNDING * scale, equal_nan=True)
        return ~close
    equal = pc.fill_null(pc.equal(one, other), fill_value=False)
    alike: npt.NDArray[np.bool_] = np.asarray(pc.or_(equal, pc.and_(one.is_null(), other.is_null())))
    return ~alike
