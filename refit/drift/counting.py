"""How rows are counted: one pass, a batch at a time, columns in parallel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.drift.binning import Binning, Bins
from refit.drift.categorical_bins import CategoricalBins, cast_to_floats
from refit.drift.numeric_bins import Counts, Places
from refit.drift.row_sample import SIZE, Codes, Sample, column_factor, empty_sample, merge_samples
from refit.hashing import Words, splitmix64

_SLICE = 32_768
"""Rows that are counted at a time, which bounds the memory whatever the batches are."""


class ProfileCounter:
    """Counts so far; memory does not grow with the rows."""

    def __init__(self, anchors: Binning, timestamp: str | None, threads: int) -> None:
        columns = anchors.columns
        self.rows = 0
        self.counts: list[Counts] = [np.zeros(cells.size, np.int64) for cells in columns]
        self.sums: list[Counts] = [cells.encode(pa.nulls(0, _any_type(cells)))[1] for cells in columns]
        shapes = [(anchors.blocks, cells.coarse_size) for cells in columns] if anchors.blocks > 1 else []
        self.blocked: list[Counts] = [np.zeros(shape, np.int64) for shape in shapes]
        self._samples = [empty_sample(len(columns))]
        self._anchors = anchors
        self._timestamp = timestamp
        self._threads = threads
        self._lookups = [cells.lookup for cells in columns]

    @property
    def sample(self) -> Sample:
        """The rows with the smallest hashes so far."""
        if len(self._samples) > 1:
            self._samples = [merge_samples(self._samples)]
        return self._samples[0]

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Counts some rows.

        Args:
            batch: The profiled columns, and the event time if there is one.
        """
        wanted = [name for name in (*self._anchors.names, self._timestamp) if name is not None]
        table = (batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])).select(dict.fromkeys(wanted))
        for start in range(0, table.num_rows, _SLICE):
            part = table.slice(start, _SLICE)
            self._add({name: part.column(name).combine_chunks() for name in part.column_names}, part.num_rows)

    def _add(self, arrays: dict[str, pa.Array], rows: int) -> None:
        times = self._times(arrays)
        blocks = np.searchsorted(np.asarray(self._anchors.edges, np.int64), times, side="right")
        hashes = self._hashes(arrays, times, rows)
        chosen = self._chosen(hashes)
        coarse = self._count_all(arrays, blocks, chosen)
        self.rows += rows
        if len(chosen):
            first = blocks[chosen] if len(blocks) else np.zeros(len(chosen), np.intp)
            codes = np.stack([first.astype(np.uint8), *coarse], axis=1)
            self._samples.append(Sample(hashes[chosen], np.ones(len(chosen), np.int64), codes))

    def _times(self, arrays: dict[str, pa.Array]) -> Counts:
        """Gives the event times in microseconds, 0 where they are missing; nothing without a column of times."""
        if self._timestamp is None:
            return np.zeros(0, np.int64)
        values = arrays[self._timestamp]
        if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
            values = pc.cast(values, pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
        return np.asarray(pc.fill_null(pc.cast(values, pa.int64()), 0))

    def _count_all(self, arrays: dict[str, pa.Array], blocks: Places, chosen: Places) -> list[Codes]:
        places = range(len(self._anchors.columns))
        if self._threads > 1:
            with ThreadPoolExecutor(self._threads) as pool:
                return list(pool.map(lambda place: self._count(place, arrays, blocks, chosen), places))
        return [self._count(place, arrays, blocks, chosen) for place in places]

    def _count(self, place: int, arrays: dict[str, pa.Array], blocks: Places, chosen: Places) -> Codes:
        """Counts one column, and gives the coarse cells of the chosen rows."""
        cells, lookup = self._anchors.columns[place], self._lookups[place]
        values = arrays[cells.name]
        if isinstance(cells, CategoricalBins) and not self.blocked:
            counts, sampled = cells.count(values, chosen)
            self.counts[place] += counts
            return lookup[sampled]
        codes, sums = cells.encode(values)
        self.counts[place] += np.bincount(codes, minlength=cells.size)
        self.sums[place] += sums
        if self.blocked:
            table = self.blocked[place]
            coarse = blocks * cells.coarse_size + lookup[codes]
            table += np.bincount(coarse, minlength=table.size).reshape(table.shape)
        return lookup[codes[chosen]]

    def _hashes(self, arrays: dict[str, pa.Array], times: Counts, rows: int) -> Words:
        """Hashes what tells rows apart: a sum of words times odd factors, mixed (multilinear hashing)."""
        words = np.zeros(rows, np.uint64)
        if len(times):
            words += times.view(np.uint64) * column_factor(0)
        by_name = {cells.name: cells for cells in self._anchors.columns}
        for place, name in enumerate(self._anchors.identity, start=1):
            words += _words(by_name[name], arrays[name]) * column_factor(place)
        return splitmix64(words)

    def _chosen(self, hashes: Words) -> Places:
        """Finds the rows that may be among the sampled ones, by what has been sampled until some batches ago."""
        known = self._samples[0]
        if len(known.hashes) < SIZE or sum(len(each.hashes) for each in self._samples[1:]) >= SIZE:
            known = self.sample
        if len(known.hashes) < SIZE:
            return _smallest(hashes)
        return np.flatnonzero(hashes <= known.hashes[-1])


def _smallest(hashes: Words) -> Places:
    """Finds the rows that may be among the sampled ones when nothing is known yet."""
    different = np.unique(hashes)
    return np.flatnonzero(hashes <= different[min(SIZE, len(different)) - 1])


def _words(cells: Bins, values: pa.Array) -> Words:
    if isinstance(cells, CategoricalBins):
        entries, rows = cells.entries(values)
        return entries.astype(np.uint64)[rows]
    return cast_to_floats(values, cells.name).view(np.uint64)


def _any_type(cells: Bins) -> pa.DataType:
    return pa.string() if isinstance(cells, CategoricalBins) else pa.float64()
