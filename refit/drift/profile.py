"""What a set of rows looks like: counts of every column, small enough to keep, that add up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from refit.drift.binning import Binning, Bins
from refit.drift.categorical_bins import CategoricalBins
from refit.drift.counting import ProfileCounter
from refit.drift.numeric_bins import Counts, Floats, NumericBins
from refit.drift.row_sample import Codes, Sample, merge_samples


@dataclass(frozen=True, slots=True)
class Profile:
    """The counts of a set of rows, in cells that an earlier sample of the reference has fixed."""

    base: Binning
    """The cells it was counted in."""
    rows: int
    """How many rows there were."""
    counts: tuple[Counts, ...]
    """For each column, the rows in each cell, the missing ones last."""
    sums: tuple[Counts, ...]
    """For each column, the places of its values within the tail cells, added up (see `NumberCells.encode`)."""
    blocked: tuple[Counts, ...]
    """For each column, the rows of each block of time in each coarse cell; empty with one block."""
    sample: Sample
    """Some rows, as coarse cells, for a look at columns together."""

    @property
    def anchors(self) -> Binning:
        """The cells for a later profile that is to be compared with this one; they know what this one has seen."""
        pairs = zip(self.base.columns, self.counts, strict=True)
        return replace(self.base, columns=tuple(_remembering(cells, counts) for cells, counts in pairs))

    @property
    def columns(self) -> tuple[str, ...]:
        """The profiled columns."""
        return self.base.names

    def cells(self, column: str) -> Bins:
        """Gives the cells of a column.

        Args:
            column: Its name.

        Returns:
            Cells of numbers or of categories.
        """
        return self.base.columns[self.columns.index(column)]

    def kind(self, column: str) -> str:
        """Tells what a column holds.

        Args:
            column: Its name.

        Returns:
            `number` or `category`.
        """
        return "number" if isinstance(self.cells(column), NumericBins) else "category"

    def cell_names(self, column: str) -> list[str]:
        """Names the coarse cells of a column.

        Args:
            column: Its name.

        Returns:
            Intervals or categories, then `unseen` and `missing`.
        """
        return self.cells(column).names()

    def coarse(self, column: str) -> Counts:
        """Gives the rows of each block of time in each coarse cell.

        Args:
            column: Its name.

        Returns:
            Counts of shape (blocks, cells); the last two cells are the unseen and the missing values.
        """
        place = self.columns.index(column)
        if self.blocked:
            return self.blocked[place]
        cells = self.base.columns[place]
        together = np.bincount(cells.lookup, weights=self.counts[place], minlength=cells.coarse_size)
        return together.astype(np.int64)[np.newaxis]

    def fine(self, column: str) -> Counts:
        """Gives the rows in each cell of a column, without the missing ones.

        Args:
            column: Its name.

        Returns:
            Counts from the lowest cell to the highest, or of each category and hash cell.
        """
        return self.counts[self.columns.index(column)][:-1]

    def missing(self, column: str) -> int:
        """Counts the missing values of a column.

        Args:
            column: Its name.

        Returns:
            Rows.
        """
        return int(self.counts[self.columns.index(column)][-1])

    def middles(self, column: str) -> Floats:
        """Gives the mean value in each cell of a column of numbers.

        Args:
            column: Its name.

        Returns:
            One for each cell that `fine` counts, in the column's unit.
        """
        place = self.columns.index(column)
        cells = self.base.columns[place]
        assert isinstance(cells, NumericBins)  # noqa: S101 - what a caller asks of a category is a mistake in the code
        return cells.middles(self.counts[place], self.sums[place])

    def sampled(self) -> tuple[Codes, Codes]:
        """Gives some rows for a look at columns together.

        Returns:
            Coarse cells of shape (rows, columns), and the block of time of each row.
        """
        return self.sample.rows()


def build_profile(
    batches: Iterable[pa.RecordBatch | pa.Table], anchors: Binning, timestamp: str | None, threads: int = 1
) -> Profile:
    """Counts rows in one pass.

    Args:
        batches: The rows in any order and any parts, some 100,000 at a time.
        anchors: The cells to count them in; for a current window, those of the reference, `unblocked()`.
        timestamp: The column of event times, which tells rows apart and gives the block of time.
        threads: How many columns are counted at a time.

    Returns:
        The profile.

    Raises:
        DataError: If a column of numbers holds something else.
    """
    tally = ProfileCounter(anchors, timestamp, threads)
    for batch in batches:
        tally.add(batch)
    return Profile(anchors, tally.rows, tuple(tally.counts), tuple(tally.sums), tuple(tally.blocked), tally.sample)


def merge_profiles(parts: Sequence[Profile]) -> Profile:
    """Adds up profiles of parts; the result is the same, bit for bit, in whatever parts and order the rows came.

    Args:
        parts: Profiles in the same cells, one at least.

    Returns:
        The profile of the whole.

    Raises:
        ValueError: If they were counted in different cells.
    """
    first = parts[0]
    if any(part.base != first.base for part in parts):
        raise ValueError("profiles that were counted in different cells cannot be merged")
    return Profile(
        first.base,
        sum(part.rows for part in parts),
        _added([part.counts for part in parts]),
        _added([part.sums for part in parts]),
        _added([part.blocked for part in parts]),
        merge_samples([part.sample for part in parts]),
    )


def _added(parts: Sequence[tuple[Counts, ...]]) -> tuple[Counts, ...]:
    return tuple(np.sum(columns, axis=0) for columns in zip(*parts, strict=True))


def _remembering(cells: Bins, counts: Counts) -> Bins:
    if isinstance(cells, CategoricalBins) and cells.known is None:
        return cells.known_from(counts)
    return cells
