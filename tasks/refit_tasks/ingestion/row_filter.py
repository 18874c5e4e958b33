"""The rows of one batch, sorted into those that keep the contract and those that do not, on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import cast_table
from refit.data.chunks import merge_tables
from refit.data.contract import BatchCounts, Contract, Fault
from refit.data.fingerprint import Identities, IdentityIndex, row_identities
from refit.data.rejected_rows import SUPERSEDED, write_reasons
from refit.data.split import from_microseconds
from refit.project import Project
from refit.records.references import BrokenRule
from refit.windows import Window
from refit_tasks.runs.progress import ProgressBar
from refit_tasks.storage.staging import SpilledTables
from refit_tasks.validation.contract import judge_rows

TIME, REASONS = "_refit_time", "_refit_reasons"
"""Columns that a staged rejected row has beside its own."""


class RowFilter:
    """Takes the raw pieces of a batch and ends with `accepted()` and `rejected`; every row is in one of them."""

    def __init__(self, definition: Project, schema: pa.Schema, window: Window, area: Path) -> None:
        self._definition = definition
        self._window = window
        self.schema = schema
        self.cast_rows = SpilledTables(area / "fitting")
        """Rows that fit the schema and have a key and an event time within the window."""
        self.rejected = SpilledTables(area / "rejected")
        """The other rows as they were delivered, each with its event time and reasons."""
        self._keep: list[np.ndarray] = []
        self._faults: Counter[tuple[str, str]] = Counter()
        self._warned: Counter[str] = Counter()
        self.superseded = 0
        """Rows that a later row of the batch with the same key replaces; they are among the rejected."""
        self._conflicting = 0

    def cast(self, raw: SpilledTables) -> None:
        """Conforms all pieces to the schema, and rejects the rows that cannot be placed.

        Args:
            raw: The pieces as they were delivered.
        """
        fitting = (self._cast_piece(piece) for piece in raw)
        for piece in merge_tables(
            (piece for piece in fitting if piece.num_rows), self._definition.ingestion.piece_rows
        ):
            self.cast_rows.add(piece)
            self._keep.append(np.ones(piece.num_rows, np.bool_))

    def validate(self, contract: Contract) -> None:
        """Judges all fitting rows by the contract, then lets the last row of each key win.

        Args:
            contract: The contract.
        """
        progress, done = ProgressBar(self._definition.name, "validation"), 0
        for number, piece in enumerate(self.cast_rows):
            findings = judge_rows(contract, piece)
            done += piece.num_rows
            progress.show(done, self.cast_rows.rows)
            self._warned += findings.warned
            self._reject_faulty(number, piece, findings.faults)
        if self._definition.key:
            self._supersede()

    def accepted(self) -> Iterator[pa.Table]:
        """Reads the accepted rows.

        Yields:
            One piece at a time, of the table's schema, always in the same order.
        """
        for piece, keep in zip(self.cast_rows, self._keep, strict=True):
            if keep.any():
                yield piece if keep.all() else piece.filter(pa.array(keep))

    @property
    def accepted_rows(self) -> int:
        """How many rows are accepted."""
        return int(sum(keep.sum() for keep in self._keep))

    @property
    def broken(self) -> tuple[BrokenRule, ...]:
        """The rules that rows broke, the one with most rows first."""
        return tuple(BrokenRule(rule, column, rows) for (rule, column), rows in self._faults.most_common())

    def count(self, until: datetime, known: int = 0) -> BatchCounts:
        """Counts what `judge_batch` judges: superseded rows, which broke no rule, are left out, and known ones.

        Args:
            until: The end of the load.
            known: How many rejected rows a batch before brought, too.

        Returns:
            The count.
        """
        times = (pc.max(piece[self._definition.timestamp].cast(pa.int64())).as_py() for piece in self.accepted())
        newest = max(times, default=None)
        broken = self.rejected.rows - self.superseded - known
        return BatchCounts(
            rows_in=self.accepted_rows + broken,
            quarantined=broken,
            until=until,
            newest=None if newest is None else from_microseconds(newest),
            faults=self._faults,
            warned=self._warned,
            conflicting=self._conflicting,
            key=self._definition.key,
        )

    def _cast_piece(self, raw: pa.Table) -> pa.Table:
        piece, faults = cast_table(raw, self.schema)
        faults += find_inexact_keys(self._definition, raw)
        faulty = {fault.row for fault in faults}
        faults += [
            fault for fault in find_unplaceable_rows(self._definition, self._window, piece) if fault.row not in faulty
        ]
        return piece.filter(pa.array(self._reject(raw, piece[self._definition.timestamp], faults)))

    def _reject_faulty(self, number: int, piece: pa.Table, faults: list[Fault]) -> None:
        self._keep[number] &= self._reject(piece, piece[self._definition.timestamp], faults)

    def _reject(self, rows: pa.Table, times: pa.ChunkedArray, faults: list[Fault]) -> np.ndarray:
        """Stages the faulty rows; gives the mask of the others."""
        good = np.ones(rows.num_rows, np.bool_)
        found: dict[int, list[Fault]] = {}
        for fault in faults:
            found.setdefault(fault.row, []).append(fault)
            self._faults[fault.rule, fault.column] += 1
        if found:
            good[list(found)] = False
            reasons = pa.array([write_reasons(found[row]) for row in sorted(found)])
            bad = pa.array(~good)
            self.rejected.add(rows.filter(bad).append_column(TIME, times.filter(bad)).append_column(REASONS, reasons))
        return good

    def _supersede(self) -> None:
        repeated = IdentityIndex(self._identities(self._definition.key)).superseded()
        if repeated.any():
            contents = self._identities(self.schema.names)
            self._conflicting = int(repeated.sum() - np.isin(contents[repeated], contents[~repeated]).sum())
        start = 0
        for number, piece in enumerate(self.cast_rows):
            here = np.flatnonzero(self._keep[number])
            rows = here[repeated[start : start + len(here)]]
            start += len(here)
            self.superseded += len(rows)
            self._reject_faulty(number, piece, [self._superseded_fault(piece, int(row)) for row in rows])

    def _identities(self, columns: Sequence[str]) -> Identities:
        return np.concatenate([np.empty(0, "S16"), *(row_identities(piece, columns) for piece in self.accepted())])

    def _superseded_fault(self, piece: pa.Table, row: int) -> Fault:
        key = self._definition.key
        return Fault(row, SUPERSEDED, ",".join(key), ", ".join(str(piece[name][row].as_py()) for name in key)[:200])


MAX_EXACT = 2.0**53
"""From here on a double does not tell a whole number from its neighbour."""


def find_inexact_keys(definition: Project, raw: pa.Table) -> Iterator[Fault]:
    """Finds rows whose key was read as a floating-point number too large to be exact.

    Args:
        definition: The project.
        raw: Rows as they were loaded.

    Yields:
        A fault for each such cell of the key.
    """
    for column in (name for name in definition.key if name in raw.column_names):
        values = raw[column].combine_chunks()
        if pa.types.is_floating(values.type):
            for row in _true_positions(pc.greater_equal(pc.abs(values), MAX_EXACT)):
                yield Fault(row, "inexact_key", column, str(values[row].as_py()))


def find_unplaceable_rows(definition: Project, window: Window, piece: pa.Table) -> Iterator[Fault]:
    """Finds the rows that cannot be placed: without a key or an event time, or with one that was not asked for.

    Args:
        definition: The project.
        window: The event times asked for.
        piece: Rows of the table's schema.

    Yields:
        A fault for each missing cell of the key, and for each event time that is missing or outside the window.
    """
    for column in definition.key:
        for row in _true_positions(piece[column].is_null()):
            yield Fault(row, "key_missing", column, "missing")
    times = piece[definition.timestamp]
    for row in _true_positions(times.is_null()):
        yield Fault(row, "time_missing", definition.timestamp, "missing")
    start, end = (pa.scalar(bound, times.type) for bound in (window.start, window.end))
    for row in _true_positions(pc.or_(pc.less(times, start), pc.greater_equal(times, end))):
        yield Fault(row, "outside_window", definition.timestamp, str(times[row].as_py()))


def _true_positions(mask: pa.ChunkedArray) -> list[int]:
    rows: list[int] = pc.indices_nonzero(mask).to_pylist()
    return rows
