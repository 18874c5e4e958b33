"""Which cells a column is counted in, chosen from a sample of the reference.

What the cells of a profile are anchored on: a bounded sample of the reference fixes them once and for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.drift.categorical_bins import CategoricalBins, cast_to_floats, encode_dictionary
from refit.drift.numeric_bins import TAIL, NumericBins, Scale

Bins: TypeAlias = NumericBins | CategoricalBins
Floats = npt.NDArray[np.float64]

FINE = 4_096
"""Fine cells of a column of numbers."""
COARSE = 10
"""About so many coarse cells, of about equal rows, has a column of numbers."""
CATEGORIES = 200
"""The most categories with a cell of their own."""

_SHOWN = 30
_SMALLEST = 0.005
_SLIVER = 0.02
_CENTRAL = (0.001, 0.999)
_SKEWED = 10
"""From so many interquartile ranges on, equal cells would leave too few of them for the bulk of the rows."""
_HAIR = 2.0**-20


def choose_bins(name: str, values: pa.Array) -> Bins:
    """Chooses the cells of a column.

    Args:
        name: The column.
        values: A sample of its values in the reference.

    Returns:
        Cells for categories if it holds texts, truth values or a dictionary, else cells for numbers.
    """
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return choose_numeric_bins(name, cast_to_floats(values, name))
    if pa.types.is_temporal(kind):
        absolute = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return choose_numeric_bins(name, cast_to_floats(values, name), instant=absolute)
    return choose_categorical_bins(name, values)


def choose_categorical_bins(name: str, values: pa.Array) -> CategoricalBins:
    """Gives the most frequent categories a cell of their own.

    Args:
        name: The column.
        values: A sample of its values in the reference.

    Returns:
        The cells; those under half a percent of the sample are one coarse cell together.
    """
    coded = encode_dictionary(values)
    found = pc.value_counts(coded.dictionary_decode().drop_null())
    texts, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
    ranked = sorted(zip(texts, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))[:CATEGORIES]
    shown = sum(count >= _SMALLEST * sum(counts) for _, count in ranked[:_SHOWN])
    return CategoricalBins(name, tuple(text for text, _ in ranked), shown)


def choose_numeric_bins(name: str, numbers: Floats, *, instant: bool = False) -> NumericBins:
    """Spreads fine cells over the central 99.8 % of the sample, and coarse ones of about equal rows over those.

    Args:
        name: The column.
        numbers: A sample of its values in the reference, NaN where they are missing.
        instant: Whether they are microseconds since 1970.

    Returns:
        The cells.
    """
    numbers = numbers[np.isfinite(numbers)]
    scale, low, width, fine, points = _geometry(numbers if len(numbers) else np.zeros(1))
    cells = NumericBins(name, low, width, fine, points, instant, scale, ())
    edges = _coarse(cells, numbers)
    return NumericBins(name, low, width, fine, points, instant, scale, edges)


def _geometry(numbers: Floats) -> tuple[Scale, float, float, int, bool]:
    """Gives scale, start, width and number of the fine cells, and whether each holds one value."""
    low, high = (float(edge) for edge in np.quantile(numbers, _CENTRAL, method="closest_observation"))
    if low == high and not low.is_integer():
        width = max(abs(low) * _HAIR, np.finfo(float).tiny)
        return Scale(), low - width / 2, width, 1, True
    if high - low < FINE and abs(low) < 1 / _HAIR**2 and bool(np.all(numbers == np.rint(numbers))):
        return Scale(), low - 0.5, 1.0, int(high - low) + 1, True
    scale = _scale(numbers, high - low)
    start, end = scale.apply(np.array([low, high]), 0.0).tolist()
    return scale, start, (end - start) / FINE, FINE, False


def _scale(numbers: Floats, span: float) -> Scale:
    quarters = np.quantile(numbers, (0.25, 0.75))
    if quarters[0] == quarters[1]:  # more than half of the rows hold one value
        quarters = np.quantile(np.unique(numbers), (0.25, 0.75))
    spread = float(quarters[1] - quarters[0])
    if not spread or span < _SKEWED * spread:
        return Scale()
    return Scale(middle=float(np.median(numbers)), spread=spread / 2)


def _coarse(cells: NumericBins, numbers: Floats) -> tuple[int, ...]:
    """Closes a coarse cell when it holds a tenth of the sample; a value as frequent as that has one of its own."""
    if not len(numbers):
        return ()
    if cells.fine == 1:  # a constant: what differs from it lies below or above
        return (TAIL, TAIL + 1)
    counts = np.bincount(cells.encode(pa.array(numbers))[0], minlength=cells.size)
    edges, held, left = [], 0.0, 1.0
    for cell in np.flatnonzero(counts).tolist():
        share = counts[cell] / len(numbers)
        if share >= 1 / COARSE and held >= _SLIVER:
            edges.append(cell)
            held = 0.0
        held, left = held + share, left - share
        if held >= 1 / COARSE - 1e-9 and left > _SLIVER:
            edges.append(cell + 1)
            held = 0.0
    return tuple(edges)


BLOCKS = 100
"""The most blocks of time that a reference is counted in."""
BLOCK_ROWS = 500
"""The fewest rows of a block of time; below it, its counts say more about chance than about movement."""
IDENTITY = 4
"""So many columns, those with the most different values, and the event time tell one row from another."""


@dataclass(frozen=True, slots=True)
class Binning:
    """The cells of every column, and the edges of the blocks of time."""

    columns: tuple[Bins, ...]
    """One for each column that is profiled."""
    edges: tuple[int, ...] = ()
    """The times at which a block begins, but for the first: microseconds since 1970, UTC."""
    identity: tuple[str, ...] = ()
    """The columns whose values, with the event time, choose the sampled rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The profiled columns."""
        return tuple(column.name for column in self.columns)

    @property
    def blocks(self) -> int:
        """How many blocks of time there are."""
        return len(self.edges) + 1

    def unblocked(self) -> Binning:
        """Gives the same cells with one block of all time, for a current window.

        Returns:
            The anchors without edges.
        """
        return replace(self, edges=())


def make_binning(sample: pa.Table, columns: Sequence[str], times: Sequence[int] | None, blocks: int) -> Binning:
    """Chooses the cells that a reference and all later windows are counted in.

    Args:
        sample: Some 20,000 to 100,000 rows of the reference, spread evenly over it.
        columns: The columns to profile.
        times: Event times of the reference or of a sample of it, microseconds since 1970, UTC; `None` for one block.
        blocks: How many blocks of time to cut it into; `count_blocks` gives it.

    Returns:
        The anchors.
    """
    chosen = {name: sample.column(name).combine_chunks() for name in columns}
    cells = tuple(choose_bins(name, values) for name, values in chosen.items())
    ranked = sorted(chosen, key=lambda name: (-_distinct(chosen[name]), name))
    return Binning(cells, _edges(times, blocks), tuple(ranked[:IDENTITY]))


def count_blocks(rows: int) -> int:
    """Gives how many blocks of time a reference is cut into: as many as leave each 500 rows, at most 100.

    Args:
        rows: Rows of the reference.

    Returns:
        One at least.

    Example:
        >>> [count_blocks(rows) for rows in (100, 5_000, 1_000_000)]
        [1, 10, 100]
    """
    return min(max(rows // BLOCK_ROWS, 1), BLOCKS)


def _distinct(values: pa.Array) -> int:
    return len(values.unique())


def _edges(times: Sequence[int] | None, blocks: int) -> tuple[int, ...]:
    if times is None or not len(times) or blocks <= 1:
        return ()
    ordered = np.sort(np.asarray(times, np.int64))
    cuts = np.unique(ordered[np.arange(1, blocks) * len(ordered) // blocks])
    return tuple(cuts[cuts > ordered[0]].tolist())
