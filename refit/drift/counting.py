"""Counting of rows for a profile: one pass, a batch at a time, columns in parallel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.drift.binning import Binning, Bins
from refit.drift.categorical_bins import CategoricalBins
from refit.drift.numeric_bins import Counts, Places, cast_to_floats
from refit.drift.row_sample import SIZE, Codes, Sample, column_factor, empty_sample, merge_samples
from refit.hashing import Words, splitmix64

_SLICE = 32_768
"""The rows counted at a time, which bounds the memory for batches of any size."""


class ProfileCounter:
    """Counts rows batch by batch, in memory that does not grow with the rows."""

    def __init__(self, binning: Binning, timestamp: str | None, threads: int) -> None:
        columns = binning.columns
        self.rows = 0
        self.counts: list[Counts] = [np.zeros(bins.size, np.int64) for bins in columns]
        self.sums: list[Counts] = [bins.encode(pa.nulls(0, _arrow_type(bins)))[1] for bins in columns]
        shapes = [(binning.blocks, bins.coarse_size) for bins in columns] if binning.blocks > 1 else []
        self.blocked: list[Counts] = [np.zeros(shape, np.int64) for shape in shapes]
        self._samples = [empty_sample(len(columns))]
        self._binning = binning
        self._timestamp = timestamp
        self._threads = threads
        self._lookups = [bins.lookup for bins in columns]

    @property
    def sample(self) -> Sample:
        """The sampled rows so far."""
        if len(self._samples) > 1:
            self._samples = [merge_samples(self._samples)]
        return self._samples[0]

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Counts the rows of a batch.

        Args:
            batch: The profiled columns, and the event time if there is one.
        """
        wanted = [name for name in (*self._binning.names, self._timestamp) if name is not None]
        table = (batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])).select(dict.fromkeys(wanted))
        for start in range(0, table.num_rows, _SLICE):
            part = table.slice(start, _SLICE)
            self._add({name: part.column(name).combine_chunks() for name in part.column_names}, part.num_rows)

    def _add(self, arrays: dict[str, pa.Array], rows: int) -> None:
        times = self._times(arrays)
        blocks = np.searchsorted(np.asarray(self._binning.edges, np.int64), times, side="right")
        hashes = self._hash_rows(arrays, times, rows)
        chosen = self._sample_candidates(hashes)
        coarse = self._count_all(arrays, blocks, chosen)
        self.rows += rows
        if len(chosen):
            first = blocks[chosen] if len(blocks) else np.zeros(len(chosen), np.intp)
            codes = np.stack([first.astype(np.uint8), *coarse], axis=1)
            self._samples.append(Sample(hashes[chosen], np.ones(len(chosen), np.int64), codes))

    def _times(self, arrays: dict[str, pa.Array]) -> Counts:
        """Returns the event times in microseconds, 0 if missing; empty without a column of times."""
        if self._timestamp is None:
            return np.zeros(0, np.int64)
        values = arrays[self._timestamp]
        if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
            values = pc.cast(values, pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
        return np.asarray(pc.fill_null(pc.cast(values, pa.int64()), 0))

    def _count_all(self, arrays: dict[str, pa.Array], blocks: Places, chosen: Places) -> list[Codes]:
        places = range(len(self._binning.columns))
        if self._threads > 1:
            with ThreadPoolExecutor(self._threads) as pool:
                return list(pool.map(lambda place: self._count(place, arrays, blocks, chosen), places))
        return [self._count(place, arrays, blocks, chosen) for place in places]

    def _count(self, place: int, arrays: dict[str, pa.Array], blocks: Places, chosen: Places) -> Codes:
        """Counts one column, and returns the coarse bins of the chosen rows."""
        bins, lookup = self._binning.columns[place], self._lookups[place]
        values = arrays[bins.name]
        if isinstance(bins, CategoricalBins) and not self.blocked:
            counts, sampled = bins.count(values, chosen)
            self.counts[place] += counts
            return lookup[sampled]
        codes, sums = bins.encode(values)
        self.counts[place] += np.bincount(codes, minlength=bins.size)
        self.sums[place] += sums
        if self.blocked:
            table = self.blocked[place]
            coarse = blocks * bins.coarse_size + lookup[codes]
            table += np.bincount(coarse, minlength=table.size).reshape(table.shape)
        return lookup[codes[chosen]]

    def _hash_rows(self, arrays: dict[str, pa.Array], times: Counts, rows: int) -> Words:
        """Hashes the columns that identify rows: a mixed sum of words times odd factors (multilinear hashing)."""
        words = np.zeros(rows, np.uint64)
        if len(times):
            words += times.view(np.uint64) * column_factor(0)
        by_name = {bins.name: bins for bins in self._binning.columns}
        for place, name in enumerate(self._binning.identity, start=1):
            words += _identity_words(by_name[name], arrays[name]) * column_factor(place)
        return splitmix64(words)

    def _sample_candidates(self, hashes: Words) -> Places:
        """Finds the rows that may belong to the sample, by the sample of some batches ago."""
        known = self._samples[0]
        if len(known.hashes) < SIZE or sum(len(each.hashes) for each in self._samples[1:]) >= SIZE:
            known = self.sample
        if len(known.hashes) < SIZE:
            return _smallest(hashes)
        return np.flatnonzero(hashes <= known.hashes[-1])


def _smallest(hashes: Words) -> Places:
    """Finds the rows that may belong to the sample while there is none yet."""
    different = np.unique(hashes)
    return np.flatnonzero(hashes <= different[min(SIZE, len(different)) - 1])


def _identity_words(bins: Bins, values: pa.Array) -> Words:
    if isinstance(bins, CategoricalBins):
        entries, rows = bins.entries(values)
        return entries.astype(np.uint64)[rows]
    return cast_to_floats(values, bins.name).view(np.uint64)


def _arrow_type(bins: Bins) -> pa.DataType:
    return pa.string() if isinstance(bins, CategoricalBins) else pa.float64()
