"""The cells that a column of numbers is counted in: fine ones over its usual range, geometric ones beyond it.

Every cell is a function of the value alone, in arithmetic that rounds the same way wherever the value stands, so that
counts of parts add up to the counts of the whole. What lies beyond the usual range also leaves its exact place within
its cell, in whole numbers, so that distances over long tails need no guess.

How numbers are stretched before they are cut into cells of equal width: not at all, or about logarithmically.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refit.drift.categorical_bins import cast_to_floats

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

TAIL = 320
"""Tail cells on each side: 40 octaves, each twice as wide as the one before, of eight equal cells."""

_FIRST = 64
"""The first tail cell is as wide as the usual range divided by this."""
_STEPS = 8
_OCTAVES = TAIL // _STEPS
_INSIDE = 2**20
"""The places that are told apart within a tail cell."""
_FARTHEST = float(np.nextafter(2.0**_OCTAVES, 0))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NumericBins:
    """The cells of a column of numbers: tail cells, then fine cells, then tail cells, then missing values."""

    name: str
    """The column."""
    low: float
    """Where the fine cells begin, on the scale."""
    width: float
    """The width of a fine cell, on the scale."""
    fine: int
    """How many fine cells there are."""
    points: bool
    """Whether a fine cell holds one value only, its middle: small whole numbers and constants."""
    instant: bool
    """Whether the numbers are microseconds since 1970, UTC."""
    scale: Scale
    """How values are stretched before they are cut into cells of equal width."""
    edges: tuple[int, ...]
    """The cells at which a coarse cell begins, but for the first."""

    @property
    def size(self) -> int:
        """How many cells there are, the one of the missing values included."""
        return self.fine + 2 * TAIL + 1

    @property
    def coarse_size(self) -> int:
        """How many coarse cells there are, those of unseen and missing values included."""
        return len(self.edges) + 3

    @property
    def lookup(self) -> npt.NDArray[np.uint8]:
        """The coarse cell of each cell."""
        coarse = np.searchsorted(np.asarray(self.edges, np.intp), np.arange(self.size), side="right")
        coarse[-1] = self.coarse_size - 1
        return coarse.astype(np.uint8)

    @property
    def bounds(self) -> Floats:
        """Where the cells begin and end, in the column's unit: one more than there are cells with a value."""
        fine = self.scale.invert(self.low + self.width * np.arange(self.fine + 1, dtype=np.float64))
        octave, step = np.divmod(np.arange(1, TAIL + 1), _STEPS)
        beyond = (fine[-1] - fine[0]) / _FIRST * (2.0**octave * (1 + step / _STEPS) - 1)
        return np.concatenate([fine[0] - beyond[::-1], fine, fine[-1] + beyond])

    @property
    def _range(self) -> tuple[float, float]:
        low, high = self.scale.invert(np.array([self.low, self.low + self.width * self.fine]))
        return float(low), float(high)

    def encode(self, values: pa.Array) -> tuple[Places, Counts]:
        """Finds the cell of each value.

        Args:
            values: Part of the column.

        Returns:
            A cell for each row, and for each tail cell the sum of its values' places within it, counted from its
            inner edge in units of 2**-20 of its width.
        """
        numbers = cast_to_floats(values, self.name)
        places = self.scale.apply(numbers, self.low - TAIL * self.width)
        places *= 1 / self.width
        np.fmax(places, TAIL - 1, out=places)  # what is missing goes here as well, until it is told apart
        np.fmin(places, TAIL + self.fine, out=places)
        cells = places.astype(np.intp)
        outside = np.flatnonzero((cells - TAIL).view(np.uintp) >= self.fine)
        return cells, self._tails(cells, outside, numbers[outside])

    def _tails(self, cells: Places, outside: Places, numbers: Floats) -> Counts:
        """Sets the cells of the values beyond the fine cells, and adds up their places within them."""
        low, high = self._range
        below = cells[outside] < TAIL
        with np.errstate(over="ignore"):
            away = np.where(below, low - numbers, numbers - high) / ((high - low) / _FIRST)
        mantissa, octave = np.frexp(np.fmin(np.fmax(away + 1, 1), _FARTHEST))  # what is missing stands at the edge
        step = (2 * mantissa - 1) * _STEPS
        order = (octave - 1) * _STEPS + step.astype(np.intp)
        missing = np.isnan(numbers)
        cells[outside] = np.where(missing, self.size - 1, np.where(below, TAIL - 1 - order, TAIL + self.fine + order))
        sides = np.where(below, TAIL - 1 - order, TAIL + order)
        inside = np.where(missing, 0, np.floor((step % 1) * _INSIDE))
        return np.bincount(sides, weights=inside, minlength=2 * TAIL).astype(np.int64)

    def middles(self, counts: Counts, sums: Counts) -> Floats:
        """Gives the mean of the values in each cell, in the column's unit.

        Args:
            counts: Values in each cell.
            sums: The sums that `encode` gives.

        Returns:
            The middle for a fine cell, the mean for a tail cell (its middle where it is empty).
        """
        bounds = self.bounds
        share = np.full(self.size - 1, 0.5)
        tails = np.r_[:TAIL, TAIL + self.fine : self.size - 1]
        filled = counts[tails] > 0
        share[tails[filled]] = (sums[filled] / counts[tails][filled] + 0.5) / _INSIDE
        share[:TAIL] = 1 - share[:TAIL]
        middles: Floats = bounds[:-1] + share * np.diff(bounds)
        return middles

    def names(self) -> list[str]:
        """Names the coarse cells for a person.

        Returns:
            Intervals, then `unseen` and `missing`.
        """
        if not self.edges:
            return ["any", "unseen", "missing"]
        cuts = [self._text(value) for value in self.bounds[list(self.edges)].tolist()]
        between = [f"{one} to {two}" for one, two in pairwise(cuts)]
        return [f"below {cuts[0]}", *between, f"{cuts[-1]} or more", "unseen", "missing"]

    def _text(self, value: float) -> str:
        if not self.instant:
            return f"{value:.4g}"
        try:
            return f"{_EPOCH + timedelta(microseconds=value):%Y-%m-%d %H:%M}"
        except OverflowError:  # beyond the calendar
            return f"{value:.4g}"


_ONE = np.float64(1).view(np.int64)


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone map of the numbers onto a line on which cells of equal width serve them well."""

    middle: float = 0.0
    """The value around which a stretched scale is densest."""
    spread: float | None = None
    """The distance from the middle within which a stretched scale is about even; `None` for the plain scale."""

    def apply(self, numbers: Floats, start: float) -> Floats:
        """Gives the place of each number, counted from a start.

        The stretched scale is s * log2(1 + |x - middle| / spread), s the sign, with straight lines between the powers
        of two: the bits of a floating point number, read as a whole number, are just that. So it is exact on every
        machine, and its inverse is as well.

        Args:
            numbers: Any numbers; NaN stays NaN.
            start: The place that becomes zero.

        Returns:
            Places in a new array.

        Example:
            >>> Scale(middle=10.0, spread=2.0).apply(np.array([8.0, 10.0, 12.0, 16.0]), 0.0)
            array([-1.,  0.,  1.,  2.])
        """
        if self.spread is None:
            return np.subtract(numbers, start)
        away = (numbers - self.middle) / self.spread
        bits = (np.abs(away) + 1).view(np.int64) - _ONE
        places: Floats = np.copysign(bits * 2.0**-52, away)
        places[np.isnan(away)] = np.nan
        return np.subtract(places, start, out=places)

    def invert(self, places: Floats) -> Floats:
        """Gives the numbers at some places.

        Args:
            places: Places counted from zero.

        Returns:
            The numbers that `apply` puts there.

        Example:
            >>> Scale(middle=10.0, spread=2.0).invert(np.array([-1.0, 0.0, 2.0]))
            array([ 8., 10., 16.])
        """
        if self.spread is None:
            return places
        bits = np.rint(np.abs(places) * 2.0**52).astype(np.int64) + _ONE
        numbers: Floats = self.middle + self.spread * np.copysign(bits.view(np.float64) - 1, places)
        return numbers
