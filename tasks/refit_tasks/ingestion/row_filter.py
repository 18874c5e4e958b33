"""The row filter: the rows of one batch, split on disk into accepted and rejected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.acceptance import RejectedValues
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
"""The extra columns of a staged rejected row: its event time and the reasons as JSON."""

MAX_EXACT = 2.0**53
"""From here on a double does not tell a whole number from its neighbour."""


class RowFilter:
    """Splits the staged pieces of a batch into `accepted()` and `rejected`: `cast` comes first, then `validate`."""

    def __init__(self, definition: Project, schema: pa.Schema, window: Window, area: Path) -> None:
        self._definition = definition
        self._window = window
        self.schema = schema
        self.cast_rows = SpilledTables(area / "fitting")
        """The rows that were cast to the schema and have a key and an event time in the window."""
        self.rejected = SpilledTables(area / "rejected")
        """The rejected rows as loaded, each with its event time and reasons."""
        self._keep: list[np.ndarray] = []
        self._faults: Counter[tuple[str, str]] = Counter()
        self._warned: Counter[str] = Counter()
        self.superseded = 0
        """The number of rows that a later row of the batch with the same key replaces; they are rejected, too."""
        self._conflicting = 0
        self.rejected_values = RejectedValues()
        """The values for which rules rejected rows, for the commands that accept them."""

    def cast(self, raw: SpilledTables) -> None:
        """Casts all pieces to the schema, and rejects rows that cannot be cast, identified or placed in the window.

        Args:
            raw: The pieces as loaded.
        """
        pieces = (self._cast_piece(piece) for piece in raw)
        for piece in merge_tables((piece for piece in pieces if piece.num_rows), self._definition.ingestion.piece_rows):
            self.cast_rows.add(piece)
            self._keep.append(np.ones(piece.num_rows, np.bool_))

    def validate(self, contract: Contract) -> None:
        """Rejects the cast rows that break the contract, then all but the last row of each key.

        Args:
            contract: The data contract.
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
            One piece at a time, in the table's schema and always in the same order.
        """
        for piece, keep in zip(self.cast_rows, self._keep, strict=True):
            if keep.any():
                yield piece if keep.all() else piece.filter(pa.array(keep))

    @property
    def accepted_rows(self) -> int:
        """The number of accepted rows."""
        return int(sum(keep.sum() for keep in self._keep))

    @property
    def broken(self) -> tuple[BrokenRule, ...]:
        """The rules that rows broke, sorted by the number of rows, largest first."""
        return tuple(BrokenRule(rule, column, rows) for (rule, column), rows in self._faults.most_common())

    def count(self, until: datetime, known: int = 0) -> BatchCounts:
        """Counts rows and broken rules for `judge_batch`, without superseded rows, which break no rule.

        Args:
            until: The end of the load, UTC.
            known: The number of rejected rows that were quarantined before; they are not counted again.

        Returns:
            The counts.
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
        """Stages the faulty rows; returns the mask of the other rows."""
        good = np.ones(rows.num_rows, np.bool_)
        found: dict[int, list[Fault]] = {}
        for fault in faults:
            found.setdefault(fault.row, []).append(fault)
            self._faults[fault.rule, fault.column] += 1
            self.rejected_values.add(fault)
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
    """Finds rows with a missing key, a missing event time or an event time outside the window.

    Args:
        definition: The project.
        window: The event times of the load.
        piece: Rows in the table's schema.

    Yields:
        A fault for each missing key cell, and for each event time that is missing or outside the window.
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
