"""How the event times of a foreign source become UTC, and how a window is cut out without losing an unreadable row."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

import pandas as pd
import pyarrow as pa

from refit.errors import LoadFailed
from refit.windows import Window

_OFFSET = r"(?::\d{2}.*|T\d+)(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
"""How a text with a clock time and an offset ends; a date alone, which ends in `-31`, has no clock time before it."""

Piece = TypeVar("Piece", pd.DataFrame, pa.Table)


def within(
    piece: Piece, window: Window, timestamp: str, timezone: str, source: str, time_format: str = "ISO8601"
) -> Piece:
    """Turns the event times into UTC and keeps the rows of the window, and those whose time is missing or unreadable.

    Args:
        piece: Some rows as the source gave them.
        window: The event times asked for.
        timestamp: The column of event times.
        timezone: The zone of times without one.
        source: What the piece was read from, for the message.
        time_format: How text is read, see `utc_times`.

    Returns:
        The rows that are left, in their order.

    Raises:
        LoadFailed: If there is no such column, or it holds numbers.
    """
    names = list(piece.columns) if isinstance(piece, pd.DataFrame) else piece.column_names
    _require(timestamp, [str(name) for name in names], source)
    values = piece[timestamp] if isinstance(piece, pd.DataFrame) else _series(piece[timestamp], timestamp)
    times = utc_times(values, timezone, time_format)
    kept = times.isna() | window.holds(times)
    if isinstance(piece, pd.DataFrame):
        return piece.assign(**{timestamp: times})[kept].reset_index(drop=True)
    column = pa.Array.from_pandas(times, type=pa.timestamp("us", "UTC"))
    return piece.set_column(names.index(timestamp), timestamp, column).filter(pa.array(kept))


def utc_times(values: pd.Series, timezone: str = "UTC", time_format: str = "ISO8601") -> pd.Series[pd.Timestamp]:
    """Turns a column of times into UTC.

    Args:
        values: Times, dates, or text; with or without an offset, mixed too.
        timezone: The zone of times without one.
        time_format: How text is read: `ISO8601`, `mixed`, or a format of `strptime`.

    Returns:
        Microseconds in UTC, with the same index. Missing where the time is missing or cannot be read, and where the
        clocks of `timezone` showed it twice or never because of daylight saving: guessing would move the row.

    Raises:
        LoadFailed: If the column holds numbers, whose unit and origin nobody can know.
    """
    if pd.api.types.is_numeric_dtype(values) and values.notna().any():
        raise LoadFailed(
            f"the timestamp column {values.name!r} holds numbers ({values.dtype}), not times: "
            "turn them into times in a load of your own"
        )
    if not pd.api.types.is_datetime64_any_dtype(values):
        return _read(values.astype("str"), timezone, time_format)
    if values.dt.tz is None:
        values = _localise(values, timezone)
    times: pd.Series[pd.Timestamp] = values.dt.tz_convert("UTC").dt.as_unit("us")
    return times


def _read(text: pd.Series[str], timezone: str, time_format: str) -> pd.Series[pd.Timestamp]:
    times = pd.to_datetime(text, utc=True, errors="coerce", format=time_format).dt.as_unit("us")
    if timezone == "UTC":
        return times
    local = _localise(times.dt.tz_localize(None), timezone).dt.tz_convert("UTC")
    return times.where(text.str.contains(_OFFSET, regex=True, na=False), local)


def _localise(clock: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    return clock.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")


def _series(column: pa.ChunkedArray, name: str) -> pd.Series:
    values: pd.Series = column.to_pandas(date_as_object=False).rename(name)
    return values


def _require(timestamp: str, names: list[str], source: str) -> None:
    if timestamp not in names:
        likely = get_close_matches(timestamp, names, n=1)
        hint = f"did you mean {likely[0]!r}?" if likely else f"it has {', '.join(names[:20])}"
        raise LoadFailed(f"{source} has no timestamp column {timestamp!r}: {hint}")
