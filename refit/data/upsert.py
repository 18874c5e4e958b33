"""The upsert of incoming rows into a table with a key: which rows are new, unchanged or corrected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.fingerprint import Hashes, Identities, IdentityIndex, row_hashes, row_identities
from refit.data.split import Times, window_of
from refit.windows import Window

NEW, SAME, CORRECTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that the comparison uses."""

    key: tuple[str, ...]
    target: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class IncomingRows:
    """Hashes and times of incoming rows, about 60 bytes per row, kept in place of the rows."""

    keys: Identities
    contents: Identities
    """Hashes of all cells but the label."""
    labels: Hashes
    unlabelled: np.ndarray
    """A boolean mask."""
    times: Times


def summarize_incoming(pieces: Iterable[pa.Table], roles: Roles) -> IncomingRows:
    """Summarizes incoming rows in one pass.

    Args:
        pieces: The rows; each key at most once.
        roles: The project's columns.

    Returns:
        The hashes and times that the comparison needs, in the order of the rows.
    """
    parts = [_summarize(piece, roles) for piece in pieces]
    return IncomingRows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Upsert:
    """The comparison of incoming rows with a table's rows.

    A correction without a label keeps the label of the table: a source may be behind its earlier deliveries.
    """

    def __init__(self, incoming: IncomingRows, roles: Roles) -> None:
        self._incoming = incoming
        self._roles = roles
        self._index = IdentityIndex(incoming.keys)
        self._state = np.full(len(incoming.keys), NEW, np.int8)
        self._old_times: list[Times] = []
        self._label_rows: list[np.ndarray] = []
        self._labels: list[pa.Array] = []

    def match(self, held: pa.Table) -> np.ndarray:
        """Marks the table's rows that have the key of an incoming row.

        Args:
            held: Rows of the table; the key columns are enough.

        Returns:
            A boolean mask over them.
        """
        known: np.ndarray = self._index.find(row_identities(held, self._roles.key)) >= 0
        return known

    def compare(self, held: pa.Table) -> None:
        """Compares the incoming rows with some of the table's rows.

        Args:
            held: Rows of the table, with the schema of the incoming rows.
        """
        at = self._index.find(row_identities(held, self._roles.key))
        held, at = held.filter(pa.array(at >= 0)), at[at >= 0]
        _, contents, labels, unlabelled, times = _summarize(held, self._roles)
        same = contents == self._incoming.contents[at]
        keeps = self._incoming.unlabelled[at] & ~unlabelled
        self._state[at] = np.where(same & (keeps | (labels == self._incoming.labels[at])), SAME, CORRECTED)
        self._old_times.append(times[self._state[at] == CORRECTED])
        self._label_rows.append(at[keeps])
        self._labels.append(held[self._roles.target].filter(pa.array(keeps)).combine_chunks())

    def find_replaced(self, held: pa.Table) -> np.ndarray:
        """Marks the table's rows that are replaced.

        Args:
            held: Rows of the table.

        Returns:
            A boolean mask over them.
        """
        at = self._index.find(row_identities(held, self._roles.key))
        replaced: np.ndarray = (at >= 0) & (self._state[at] == CORRECTED)
        return replaced

    def rows_to_write(self, pieces: Iterable[pa.Table]) -> Iterable[pa.Table]:
        """Selects the rows to write.

        Args:
            pieces: The incoming rows, in the order of `summarize_incoming`.

        Yields:
            The new and the corrected rows, with the labels that are kept.
        """
        labels, start = self._kept_labels(), 0
        for piece in pieces:
            rows = slice(start, start + piece.num_rows)
            start += piece.num_rows
            whole = piece if labels is None else self._relabel(piece, labels[rows])
            yield whole.filter(pa.array(self._state[rows] != SAME))

    @property
    def incoming_window(self) -> Window:
        """The event times of all incoming rows."""
        return window_of(self._incoming.times)

    @property
    def added(self) -> int:
        """The number of new rows."""
        return int((self._state == NEW).sum())

    @property
    def corrected(self) -> int:
        """The number of rows that replace an older one."""
        return int((self._state == CORRECTED).sum())

    @property
    def window(self) -> Window:
        """The event times of all rows that are added, corrected or replaced."""
        return window_of(np.concatenate([self._incoming.times[self._state != SAME], *self._old_times]))

    def _relabel(self, piece: pa.Table, labels: pa.Array) -> pa.Table:
        place = piece.column_names.index(self._roles.target)
        return piece.set_column(place, piece.schema.field(place), pc.coalesce(piece[place], labels))

    def _kept_labels(self) -> pa.Array | None:
        rows = np.concatenate([np.empty(0, np.intp), *self._label_rows])
        if not len(rows):
            return None
        places = np.full(len(self._state), -1)
        places[rows] = np.arange(len(rows))
        return pa.concat_arrays(self._labels).take(pa.array(places, mask=places < 0))


def _summarize(piece: pa.Table, roles: Roles) -> tuple[Identities, Identities, Hashes, np.ndarray, Times]:
    others = [name for name in piece.column_names if name != roles.target]
    return (
        row_identities(piece, roles.key),
        row_identities(piece, others),
        row_hashes(piece, [roles.target])[:, 0],
        np.asarray(piece[roles.target].is_null()),
        piece[roles.timestamp].cast(pa.int64()).to_numpy(),
    )
