"""Bins of a column of numbers: fine bins over its usual range, on a linear or about logarithmic scale, and tail bins.

The bin is a function of the value alone, in arithmetic that rounds equally for every row, so that counts of parts add
up to the counts of the whole. For values in the tails, the exact places within the bins are summed as integers as well,
so that distances over long tails are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import DataError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

TAIL = 320
"""Tail bins on each side: 40 octaves, each twice as wide as the one before, of eight equal bins."""

_FIRST = 64
"""The first tail bin is as wide as the usual range divided by this."""
_STEPS = 8
_OCTAVES = TAIL // _STEPS
_INSIDE = 2**20
"""The places that are told apart within a tail bin."""
_FARTHEST = float(np.nextafter(2.0**_OCTAVES, 0))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = np.float64(1).view(np.int64)


@dataclass(frozen=True, slots=True)
class NumericBins:
    """The bins of a column of numbers: tail bins, then fine bins, then tail bins, then missing values."""

    name: str
    """The column."""
    low: float
    """Where the fine bins begin, on the scale."""
    width: float
    """The width of a fine bin, on the scale."""
    fine: int
    """How many fine bins there are."""
    points: bool
    """Whether a fine bin holds one value only, its middle: small whole numbers and constants."""
    instant: bool
    """Whether the numbers are microseconds since 1970, UTC."""
    scale: Scale
    """How values are stretched before they are cut into bins of equal width."""
    edges: tuple[int, ...]
    """The bins at which a coarse bin begins, but for the first."""

    @property
    def size(self) -> int:
        """How many bins there are, the one of the missing values included."""
        return self.fine + 2 * TAIL + 1

    @property
    def coarse_size(self) -> int:
        """How many coarse bins there are, those of unseen and missing values included."""
        return len(self.edges) + 3

    @property
    def lookup(self) -> npt.NDArray[np.uint8]:
        """The coarse bin of each bin."""
        coarse = np.searchsorted(np.asarray(self.edges, np.intp), np.arange(self.size), side="right")
        coarse[-1] = self.coarse_size - 1
        return coarse.astype(np.uint8)

    @property
    def bounds(self) -> Floats:
        """Where the bins begin and end, in the column's unit: one more than there are bins with a value."""
        fine = self.scale.invert(self.low + self.width * np.arange(self.fine + 1, dtype=np.float64))
        octave, step = np.divmod(np.arange(1, TAIL + 1), _STEPS)
        beyond = (fine[-1] - fine[0]) / _FIRST * (2.0**octave * (1 + step / _STEPS) - 1)
        return np.concatenate([fine[0] - beyond[::-1], fine, fine[-1] + beyond])

    @property
    def _range(self) -> tuple[float, float]:
        low, high = self.scale.invert(np.array([self.low, self.low + self.width * self.fine]))
        return float(low), float(high)

    def encode(self, values: pa.Array) -> tuple[Places, Counts]:
        """Finds the bin of each value.

        Args:
            values: Part of the column.

        Returns:
            A bin for each row, and for each tail bin the sum of its values' places within it, counted from its
            inner edge in units of 2**-20 of its width.
        """
        numbers = cast_to_floats(values, self.name)
        places = self.scale.apply(numbers, self.low - TAIL * self.width)
        places *= 1 / self.width
        np.fmax(places, TAIL - 1, out=places)  # what is missing goes here as well, until it is told apart
        np.fmin(places, TAIL + self.fine, out=places)
        bins = places.astype(np.intp)
        outside = np.flatnonzero((bins - TAIL).view(np.uintp) >= self.fine)
        return bins, self._tails(bins, outside, numbers[outside])

    def _tails(self, bins: Places, outside: Places, numbers: Floats) -> Counts:
        """Sets the bins of the values beyond the fine bins, and adds up their places within them."""
        low, high = self._range
        below = bins[outside] < TAIL
        with np.errstate(over="ignore"):
            away = np.where(below, low - numbers, numbers - high) / ((high - low) / _FIRST)
        mantissa, octave = np.frexp(np.fmin(np.fmax(away + 1, 1), _FARTHEST))  # what is missing stands at the edge
        step = (2 * mantissa - 1) * _STEPS
        order = (octave - 1) * _STEPS + step.astype(np.intp)
        missing = np.isnan(numbers)
        bins[outside] = np.where(missing, self.size - 1, np.where(below, TAIL - 1 - order, TAIL + self.fine + order))
        sides = np.where(below, TAIL - 1 - order, TAIL + order)
        inside = np.where(missing, 0, np.floor((step % 1) * _INSIDE))
        return np.bincount(sides, weights=inside, minlength=2 * TAIL).astype(np.int64)

    def middles(self, counts: Counts, sums: Counts) -> Floats:
        """Returns the mean of the values in each bin, in the column's unit.

        Args:
            counts: Values in each bin.
            sums: The sums that `encode` gives.

        Returns:
            The middle for a fine bin, the mean for a tail bin (its middle where it is empty).
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
        """Names the coarse bins for a person.

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


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone scale, linear or about logarithmic, on which numbers are cut into bins of equal width."""

    middle: float = 0.0
    """The value around which a stretched scale is densest."""
    spread: float | None = None
    """The distance from the middle within which a stretched scale is about even; `None` for the plain scale."""

    def apply(self, numbers: Floats, start: float) -> Floats:
        """Returns the place of each number, counted from a start.

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
        """Returns the numbers at some places.

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


def cast_to_floats(values: pa.Array, name: str) -> Floats:
    """Casts a column to floats.

    Args:
        values: Numbers, truth values, dates or times.
        name: The column, for the message.

    Returns:
        One number for each row, NaN where it is missing; times are microseconds.

    Raises:
        DataError: If the values are not numbers.
    """
    if pa.types.is_float64(values.type) and not values.null_count:
        return np.asarray(values.to_numpy())
    try:
        numbers = pc.cast(_cast_to_integers(values), pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise DataError(
            f"column {name!r} is of type {values.type}, where the reference holds numbers: give it its old type back, "
            "or retrain the model on the new one"
        ) from error
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _cast_to_integers(values: pa.Array) -> pa.Array:
    """Casts dates, times and booleans to integers."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _cast_to_integers(values.dictionary_decode())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pc.cast(pc.cast(values, pa.timestamp("us", getattr(kind, "tz", None)), safe=False), pa.int64())
    if pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return pc.cast(values, pa.int64())
    if pa.types.is_time32(kind) or pa.types.is_boolean(kind):
        return pc.cast(values, pa.int32())
    return values
