"""Profiles: the counts of every column of a set of rows in fixed bins, small enough to store, and exact to merge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from refit.drift.binning import Binning, Bins
from refit.drift.categorical_bins import CategoricalBins
from refit.drift.counting import ProfileCounter
from refit.drift.numeric_bins import Counts, Floats, NumericBins
from refit.drift.row_sample import Codes, Sample, merge_samples


@dataclass(frozen=True, slots=True)
class Profile:
    """The counts of a set of rows, in bins chosen from a sample of the reference."""

    binning: Binning
    """The bins that the rows are counted in."""
    rows: int
    """The number of rows."""
    counts: tuple[Counts, ...]
    """For each column, the rows in each bin, missing values last."""
    sums: tuple[Counts, ...]
    """For each column, the sums of its values' places within the tail bins (see `NumericBins.encode`)."""
    blocked: tuple[Counts, ...]
    """For each column, the rows of each block of time in each coarse bin; empty with a single block."""
    sample: Sample
    """A sample of rows as coarse bins, for the domain classifier."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The profiled columns."""
        return self.binning.names

    def current_binning(self) -> Binning:
        """Returns the binning for the current window that this reference is compared with.

        Returns:
            The same bins in a single block of time, with the hash bins that this profile fills.
        """
        pairs = zip(self.binning.columns, self.counts, strict=True)
        return Binning(tuple(_with_known(bins, counts) for bins, counts in pairs), (), self.binning.identity)

    def bins(self, column: str) -> Bins:
        """Returns the bins of a column.

        Args:
            column: Its name.

        Returns:
            Numeric or categorical bins.
        """
        return self.binning.columns[self.columns.index(column)]

    def kind(self, column: str) -> str:
        """Returns the kind of a column.

        Args:
            column: Its name.

        Returns:
            `number` or `category`.
        """
        return "number" if isinstance(self.bins(column), NumericBins) else "category"

    def bin_names(self, column: str) -> list[str]:
        """Names the coarse bins of a column.

        Args:
            column: Its name.

        Returns:
            Intervals or categories, then `unseen` and `missing`.
        """
        return self.bins(column).names()

    def coarse(self, column: str) -> Counts:
        """Returns the rows of each block of time in each coarse bin.

        Args:
            column: Its name.

        Returns:
            Counts of shape (blocks, bins); the last two bins are the unseen and the missing values.
        """
        place = self.columns.index(column)
        if self.blocked:
            return self.blocked[place]
        bins = self.binning.columns[place]
        together = np.bincount(bins.lookup, weights=self.counts[place], minlength=bins.coarse_size)
        return together.astype(np.int64)[np.newaxis]

    def fine(self, column: str) -> Counts:
        """Returns the rows in each bin of a column, without missing values.

        Args:
            column: Its name.

        Returns:
            Counts from the lowest bin to the highest, or of each category and hash bin.
        """
        return self.counts[self.columns.index(column)][:-1]

    def missing(self, column: str) -> int:
        """Counts the missing values of a column.

        Args:
            column: Its name.

        Returns:
            The number of rows.
        """
        return int(self.counts[self.columns.index(column)][-1])

    def middles(self, column: str) -> Floats:
        """Returns the mean value in each bin of a column of numbers.

        Args:
            column: Its name.

        Returns:
            One mean for each bin of `fine`, in the column's unit.
        """
        place = self.columns.index(column)
        bins = self.binning.columns[place]
        assert isinstance(bins, NumericBins)  # noqa: S101 - asking it of a category is a mistake in the code
        return bins.middles(self.counts[place], self.sums[place])

    def sample_rows(self) -> tuple[Codes, Codes]:
        """Returns a sample of rows for the domain classifier.

        Returns:
            Coarse bins of shape (rows, columns), and the block of time of each row.
        """
        return self.sample.rows()


def build_profile(
    batches: Iterable[pa.RecordBatch | pa.Table], binning: Binning, timestamp: str | None, threads: int = 1
) -> Profile:
    """Counts rows in one pass.

    Args:
        batches: The rows in any order and division, about 100,000 at a time.
        binning: The bins to count them in; for a current window the reference's `current_binning()`.
        timestamp: The column of event times, which identifies rows and gives the block of time; `None` without one.
        threads: The number of columns that are counted at a time.

    Returns:
        The profile.

    Raises:
        DataError: If a column of numbers holds other values.
    """
    tally = ProfileCounter(binning, timestamp, threads)
    for batch in batches:
        tally.add(batch)
    return Profile(binning, tally.rows, tuple(tally.counts), tuple(tally.sums), tuple(tally.blocked), tally.sample)


def merge_profiles(parts: Sequence[Profile]) -> Profile:
    """Merges profiles of parts; the result is the same, bit for bit, for every division and order of the rows.

    Args:
        parts: Profiles in the same bins, at least one.

    Returns:
        The profile of the whole.

    Raises:
        ValueError: If they were counted in different bins.
    """
    first = parts[0]
    if any(part.binning != first.binning for part in parts):
        raise ValueError("profiles that were counted in different bins cannot be merged")
    return Profile(
        first.binning,
        sum(part.rows for part in parts),
        _sum_columns([part.counts for part in parts]),
        _sum_columns([part.sums for part in parts]),
        _sum_columns([part.blocked for part in parts]),
        merge_samples([part.sample for part in parts]),
    )


def _sum_columns(parts: Sequence[tuple[Counts, ...]]) -> tuple[Counts, ...]:
    return tuple(np.sum(columns, axis=0) for columns in zip(*parts, strict=True))


def _with_known(bins: Bins, counts: Counts) -> Bins:
    if isinstance(bins, CategoricalBins) and bins.known is None:
        return bins.known_from(counts)
    return bins
