"""Loading: rows of a project's load, staged on disk piece by piece, and logged HTTP requests as a source of rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.chunks import FRAMES, merge_tables, split_frame
from refit.data.fingerprint import IdentityIndex, row_identities
from refit.errors import LoadFailed
from refit.inference.prediction_rows import FEATURE_PREFIX, KEY_PREFIX, TIME_TYPE
from refit.project import Frame, Project, Rows
from refit.requests import Requests
from refit.windows import Window
from refit_tasks.project_code.errors import describe_project_error
from refit_tasks.project_log import with_project
from refit_tasks.storage.delta import open_table, read, schema_of, within
from refit_tasks.storage.predictions_table import predictions_of
from refit_tasks.storage.staging import SpilledTables

if TYPE_CHECKING:
    from deltalake import DeltaTable


log = logging.getLogger(__name__)

PIECES_PER_LOG_LINE = 10
"""The number of staged pieces after which progress is logged."""

_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    SystemExit,
)
"""Errors of a load that a retry does not cure; others come from the disk, the network or a database."""


def stage_load(
    definition: Project, load: Callable[[Window], Rows], window: Window, area: Path, most: int | None = None
) -> tuple[SpilledTables, list[pa.Schema]]:
    """Calls a load and writes its rows to the staging directory.

    Args:
        definition: The project.
        load: The project's load, or a replacement that returns rows with the same columns.
        window: The event times to load.
        area: The staging directory.
        most: The number of rows after which the load is not asked for more; all rows, if `None`.

    Returns:
        The staged pieces, and their distinct schemas.

    Raises:
        LoadFailed: If the load fails or returns something other than frames.
    """
    raw, schemas = SpilledTables(area / "raw"), dict[pa.Schema, None]()
    for number, piece in enumerate(read_pieces(definition, load, window, most), start=1):
        raw.add(piece)
        schemas[piece.schema] = None
        if number % PIECES_PER_LOG_LINE == 0:
            with_project(log, definition.name).info("%d rows loaded", raw.rows)
    return raw, list(schemas)


def read_pieces(
    definition: Project, load: Callable[[Window], Rows], window: Window, most: int | None = None
) -> Iterator[pa.Table]:
    """Calls a load and converts its rows to Arrow, a piece at a time.

    Args:
        definition: The project.
        load: The project's load, or a replacement that returns rows with the same columns.
        window: The event times to load.
        most: The number of rows after which the load is not asked for more; all rows, if `None`.

    Yields:
        Pieces of at most `ingestion.piece_rows` rows; none for an empty window.

    Raises:
        LoadFailed: If the load fails or returns something other than frames.
    """
    rows = definition.ingestion.piece_rows
    if window.start < window.end:
        pieces = (piece for frame in load_frames(definition, load, window) for piece in split_frame(frame, rows))
        yield from merge_tables(_take_rows(pieces, most), rows)


def _take_rows(pieces: Iterator[pa.Table], most: int | None) -> Iterator[pa.Table]:
    """Passes pieces on until there are enough rows; the last piece may exceed the number, but no frame is cut."""
    taken = 0
    for piece in pieces:
        yield piece
        taken += piece.num_rows
        if most is not None and taken >= most:
            return


def load_frames(definition: Project, load: Callable[[Window], Rows], window: Window) -> Iterator[Frame]:
    """Calls a load and translates the errors of its code.

    Args:
        definition: The project.
        load: The project's load, or a replacement.
        window: The event times to load.

    Yields:
        The frames.

    Raises:
        LoadFailed: If the load fails or returns something other than frames.
    """
    try:
        yield from _call_load(definition, load, window)
    except (LoadFailed, *_MISTAKES) as error:
        if isinstance(error, LoadFailed) and not definition.pii:
            raise
        reason = describe_project_error(error, definition.file, definition.pii)
        cause = None if definition.pii else error  # a traceback would show the message, which may quote a cell
        raise LoadFailed(f"load fails in {reason}: correct it, and try `refit check`") from cause


def _call_load(definition: Project, load: Callable[[Window], Rows], window: Window) -> Iterator[Frame]:
    rows = load(window)
    frames: Iterable[Frame] = (rows,) if isinstance(rows, FRAMES) or not isinstance(rows, Iterable) else rows
    for frame in frames:
        if not isinstance(frame, FRAMES):
            raise LoadFailed(
                f"load of {definition.file or definition.name} returns a {type(frame).__name__}: return a frame, an "
                f"Arrow table, or an iterator of them"
            )
        yield frame


def with_requests(definition: Project) -> Project:
    """Replaces a `Requests` load by a function that reads the project's prediction log.

    Args:
        definition: The project as declared in its file.

    Returns:
        The project with a load that returns the rows of the history and then those of the logged requests; unchanged
        if its load is not a `Requests`.
    """
    source = definition.load
    if not isinstance(source, Requests):
        return definition

    def load(window: Window) -> Iterator[Frame]:
        if source.history is not None:
            rows = source.history(window)
            frames: Iterable[Frame] = (rows,) if isinstance(rows, FRAMES) else rows
            yield from frames
        yield from read_requests(definition, window)

    return definition.model_copy(update={"load": load})


def read_requests(definition: Project, window: Window) -> Iterator[pa.Table]:
    """Reads the rows of logged HTTP requests whose event time lies in a window.

    Args:
        definition: The project.
        window: The event times.

    Yields:
        Rows with the project's columns and a missing target; only the last request of each key.
    """
    table = open_table(predictions_of(definition.name))
    if table is None:
        return
    where = f"source = 'http' AND role <> 'shadow' AND {_request_condition(window)}"
    columns = [
        name for name in schema_of(table).names if name.startswith((FEATURE_PREFIX, KEY_PREFIX)) and ":" not in name
    ]
    latest, own = _LatestRequests(definition, table, where) if definition.key else None, open_table(definition.name)
    held = schema_of(own) if own else pa.schema([])
    for part in read(table, [*columns, "event_time", "scored_at"], where):
        rows = _to_project_rows(definition, part, columns, held)
        rows = rows.filter(pa.array(latest.select(rows, part["scored_at"]))) if latest else rows
        if rows.num_rows:
            yield rows


class _LatestRequests:
    """The last request of each key; needs 24 bytes of memory per request."""

    def __init__(self, definition: Project, table: DeltaTable, where: str) -> None:
        self._key, names = list(definition.key), [KEY_PREFIX + name for name in definition.key]
        found, moments = [np.empty(0, "S16")], [np.empty(0, np.int64)]
        # The log has no column for a key that no request has carried.
        for part in read(table, [*names, "scored_at"], where) if set(names) <= set(schema_of(table).names) else ():
            found.append(row_identities(part.select(names).rename_columns(self._key), self._key))
            moments.append(_to_microseconds(part["scored_at"]))
        keys, at = np.concatenate(found), np.concatenate(moments)
        order = np.lexsort((at, keys))
        final = np.append(keys[order][1:] != keys[order][:-1], [True] * bool(len(keys)))
        self._index, self._at = IdentityIndex(keys[order][final]), at[order][final]
        self._given = np.zeros(len(self._at), np.bool_)

    def select(self, rows: pa.Table, scored_at: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        if not set(self._key) <= set(rows.column_names):
            return np.zeros(rows.num_rows, np.bool_)
        place = self._index.find(row_identities(rows, self._key))
        last = (place >= 0) & (self._at[place] == _to_microseconds(scored_at)) & ~self._given[place]
        for name in self._key:
            last &= np.asarray(rows[name].is_valid())
        # Two rows of one request have the same time.
        _, first = np.unique(place[last], return_index=True)
        once = np.zeros(len(place), np.bool_)
        once[np.flatnonzero(last)[first]] = True
        self._given[place[once]] = True
        return once


def _to_project_rows(definition: Project, part: pa.Table, columns: list[str], held: pa.Schema) -> pa.Table:
    times = pc.coalesce(part["event_time"], part["scored_at"]).cast(TIME_TYPE)
    cells = {name.removeprefix(FEATURE_PREFIX).removeprefix(KEY_PREFIX): part[name] for name in columns}
    truths = [name for name in cells if name in held.names and pa.types.is_boolean(held.field(name).type)]
    cells |= {name: cells[name].cast(pa.bool_()) for name in truths}
    kind = held.field(definition.target).type if definition.target in held.names else pa.null()
    return pa.table({**cells, definition.timestamp: times, definition.target: pa.nulls(part.num_rows, kind)})


def _request_condition(window: Window) -> str:
    given, answered = within("event_time", window), within("scored_at", window)
    return f"(({given}) OR (event_time IS NULL AND {answered}))"


def _to_microseconds(moments: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = moments.cast(pa.int64()).to_numpy()
    return found
