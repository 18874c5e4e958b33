"""How numbers are stretched before they are cut into cells of equal width: not at all, or about logarithmically."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
