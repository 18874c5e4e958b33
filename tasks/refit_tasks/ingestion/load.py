"""Runs a load, and puts what it gives on disk as it comes, whatever its size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from refit.data.chunks import FRAMES, cut, join
from refit.errors import LoadFailed
from refit.project import Frame, Project, Rows
from refit.windows import Window
from refit_tasks.project_code import blame
from refit_tasks.storage.staging import Pieces

log = logging.getLogger(__name__)

PIECES_PER_LINE = 10

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
"""What trying again does not mend in a load; other errors are the disk's, the network's or the database's."""


def stage(
    definition: Project, load: Callable[[Window], Rows], window: Window, area: Path
) -> tuple[Pieces, list[pa.Schema]]:
    """Writes what a load gives to disk.

    Args:
        definition: The project.
        load: Its own load, or another one of rows like its.
        window: The event times to ask for.
        area: Scratch space.

    Returns:
        The pieces, and their different schemas.

    Raises:
        LoadFailed: If the load makes a mistake.
    """
    raw, schemas = Pieces(area / "raw"), dict[pa.Schema, None]()
    rows = definition.ingestion.piece_rows
    if window.start < window.end:
        pieces = (piece for frame in _load(definition, load, window) for piece in cut(frame, rows))
        for number, piece in enumerate(join(pieces, rows), start=1):
            raw.add(piece)
            schemas[piece.schema] = None
            if number % PIECES_PER_LINE == 0:
                log.info("%s: %d rows loaded", definition.name, raw.rows)
    return raw, list(schemas)


def _load(definition: Project, load: Callable[[Window], Rows], window: Window) -> Iterator[Frame]:
    try:
        yield from _frames(definition, load, window)
    except (LoadFailed, *_MISTAKES) as error:
        if isinstance(error, LoadFailed) and not definition.pii:
            raise
        told = blame(error, definition.file, definition.pii)
        cause = None if definition.pii else error  # it would be printed, with its message
        raise LoadFailed(f"load fails in {told}: correct it, and try `refit check`") from cause


def _frames(definition: Project, load: Callable[[Window], Rows], window: Window) -> Iterator[Frame]:
    rows = load(window)
    frames: Iterable[Frame] = (rows,) if isinstance(rows, FRAMES) else rows
    for frame in frames:
        if not isinstance(frame, FRAMES):
            raise LoadFailed(
                f"load of {definition.file or definition.name} gives a {type(frame).__name__}: give a frame, an "
                f"Arrow table, or an iterator of them"
            )
        yield frame
