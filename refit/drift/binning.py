"""Choice of bins for the columns of a profile, and of its blocks of time, from a sample of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refit.drift.categorical_bins import CategoricalBins, encode_dictionary
from refit.drift.numeric_bins import TAIL, NumericBins, Scale, cast_to_floats

Bins: TypeAlias = NumericBins | CategoricalBins
Floats = npt.NDArray[np.float64]

FINE = 4_096
"""The number of fine bins of a column of numbers."""
COARSE = 10
"""The approximate number of coarse bins, of about equal rows, of a column of numbers."""
CATEGORIES = 200
"""The most categories that have their own bin."""
BLOCKS = 100
"""The most blocks of time of a reference."""
BLOCK_ROWS = 500
"""The fewest rows of a block of time; with fewer, its counts would be mostly noise."""
IDENTITY = 4
"""The number of columns, those with the most distinct values, that identify a row together with its event time."""

_SHOWN = 30
_SMALLEST = 0.005
_SLIVER = 0.02
_CENTRAL = (0.001, 0.999)
_SKEWED = 10
"""The span in interquartile ranges from which bins of equal width would leave too few for most rows."""
_HAIR = 2.0**-20


def choose_bins(name: str, values: pa.Array) -> Bins:
    """Chooses the bins of a column.

    Args:
        name: The column.
        values: A sample of its values in the reference.

    Returns:
        Bins for categories if it holds texts, truth values or a dictionary, else bins for numbers.
    """
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return choose_numeric_bins(name, cast_to_floats(values, name))
    if pa.types.is_temporal(kind):
        absolute = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return choose_numeric_bins(name, cast_to_floats(values, name), instant=absolute)
    return choose_categorical_bins(name, values)


def choose_categorical_bins(name: str, values: pa.Array) -> CategoricalBins:
    """Chooses bins for the most frequent categories.

    Args:
        name: The column.
        values: A sample of its values in the reference.

    Returns:
        The bins; categories below half a percent of the sample share one coarse bin.
    """
    coded = encode_dictionary(values)
    found = pc.value_counts(coded.dictionary_decode().drop_null())
    texts, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
    ranked = sorted(zip(texts, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))[:CATEGORIES]
    shown = sum(count >= _SMALLEST * sum(counts) for _, count in ranked[:_SHOWN])
    return CategoricalBins(name, tuple(text for text, _ in ranked), shown)


def choose_numeric_bins(name: str, numbers: Floats, *, instant: bool = False) -> NumericBins:
    """Chooses fine bins over the central 99.8 % of the sample, and coarse bins of about equal rows.

    Args:
        name: The column.
        numbers: A sample of its values in the reference, NaN if missing.
        instant: Whether they are microseconds since 1970.

    Returns:
        The bins.
    """
    numbers = numbers[np.isfinite(numbers)]
    scale, low, width, fine, points = _geometry(numbers if len(numbers) else np.zeros(1))
    bins = NumericBins(name, low, width, fine, points, instant, scale, ())
    edges = _coarse(bins, numbers)
    return NumericBins(name, low, width, fine, points, instant, scale, edges)


@dataclass(frozen=True, slots=True)
class Binning:
    """The bins of every column, the edges of the blocks of time, and the columns that identify a row."""

    columns: tuple[Bins, ...]
    """One for each column that is profiled."""
    edges: tuple[int, ...] = ()
    """The start of each block of time except the first, in microseconds since 1970, UTC."""
    identity: tuple[str, ...] = ()
    """The columns that identify a row together with its event time, for the sample of rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The profiled columns."""
        return tuple(column.name for column in self.columns)

    @property
    def blocks(self) -> int:
        """The number of blocks of time."""
        return len(self.edges) + 1


def make_binning(sample: pa.Table, columns: Sequence[str], times: Sequence[int] | None, blocks: int) -> Binning:
    """Chooses the bins of a reference and of all later windows.

    Args:
        sample: 20,000 to 100,000 rows of the reference, evenly spread.
        columns: The columns to profile.
        times: Event times of the reference or of a sample of it, microseconds since 1970, UTC; `None` for one block.
        blocks: The number of blocks of time, from `count_blocks`.

    Returns:
        The binning.
    """
    chosen = {name: sample.column(name).combine_chunks() for name in columns}
    bins = tuple(choose_bins(name, values) for name, values in chosen.items())
    ranked = sorted(chosen, key=lambda name: (-_distinct(chosen[name]), name))
    return Binning(bins, _edges(times, blocks), tuple(ranked[:IDENTITY]))


def count_blocks(rows: int) -> int:
    """Returns the number of blocks of time of a reference: at most 100, each of at least 500 rows.

    Args:
        rows: The number of rows of the reference.

    Returns:
        The number of blocks, at least 1.

    Example:
        >>> [count_blocks(rows) for rows in (100, 5_000, 1_000_000)]
        [1, 10, 100]
    """
    return min(max(rows // BLOCK_ROWS, 1), BLOCKS)


def _geometry(numbers: Floats) -> tuple[Scale, float, float, int, bool]:
    """Returns scale, start, width and number of the fine bins, and whether each holds a single value."""
    low, high = (float(edge) for edge in np.quantile(numbers, _CENTRAL, method="closest_observation"))
    if high - low < FINE and abs(low) < 1 / _HAIR**2 and bool(np.all(numbers == np.rint(numbers))):
        return Scale(), low - 0.5, 1.0, int(high - low) + 1, True
    if low == high:
        width = max(abs(low or _nearest(numbers)) * _HAIR, np.finfo(float).tiny)
        return Scale(), low - width / 2, width, 1, True
    scale = _scale(numbers, high - low)
    start, end = scale.apply(np.array([low, high]), 0.0).tolist()
    return scale, start, (end - start) / FINE, FINE, False


def _nearest(numbers: Floats) -> float:
    """Returns the number nearest to zero that is not zero; zero if there is none."""
    return float(np.min(np.abs(numbers[numbers != 0]), initial=np.inf)) if np.any(numbers) else 0.0


def _scale(numbers: Floats, span: float) -> Scale:
    quarters = np.quantile(numbers, (0.25, 0.75))
    if quarters[0] == quarters[1]:  # more than half of the rows hold one value
        quarters = np.quantile(np.unique(numbers), (0.25, 0.75))
    spread = float(quarters[1] - quarters[0])
    if not spread or span < _SKEWED * spread:
        return Scale()
    return Scale(middle=float(np.median(numbers)), spread=spread / 2)


def _coarse(bins: NumericBins, numbers: Floats) -> tuple[int, ...]:
    """Returns the edges of coarse bins that each hold a tenth of the sample; a value that frequent has its own bin."""
    if not len(numbers):
        return ()
    if bins.fine == 1:  # a constant: what differs from it lies below or above
        return (TAIL, TAIL + 1)
    counts = np.bincount(bins.encode(pa.array(numbers))[0], minlength=bins.size)
    edges, held, left = [], 0.0, 1.0
    for place in np.flatnonzero(counts).tolist():
        share = counts[place] / len(numbers)
        if share >= 1 / COARSE and held >= _SLIVER:
            edges.append(place)
            held = 0.0
        held, left = held + share, left - share
        if held >= 1 / COARSE - 1e-9 and left > _SLIVER:
            edges.append(place + 1)
            held = 0.0
    return tuple(edges)


def _distinct(values: pa.Array) -> int:
    return len(values.unique())


def _edges(times: Sequence[int] | None, blocks: int) -> tuple[int, ...]:
    if times is None or not len(times) or blocks <= 1:
        return ()
    ordered = np.sort(np.asarray(times, np.int64))
    cuts = np.unique(ordered[np.arange(1, blocks) * len(ordered) // blocks])
    return tuple(cuts[cuts > ordered[0]].tolist())
