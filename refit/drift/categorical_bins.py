"""Bins of a column of categories: one for each frequent category, and hash bins for all others.

The reference may hold categories that the sample missed; they fall into one of 4,096 hash bins. A current category is
unseen if its hash bin is empty in the reference. Some new categories may share the bin of an old one, but counts add up
exactly in bounded memory, whatever arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

BUCKETS = 4_096
"""The number of hash bins for categories without their own bin."""
RENEWAL = 0.001
"""The share of categories seen once above which the reference keeps bringing new ones, which then count as `other`."""

_KEY = "refit.categories"


@dataclass(frozen=True, slots=True)
class CategoricalBins:
    """The bins of one column of categories: named bins, hash bins, and one for missing values."""

    name: str
    """The column."""
    categories: tuple[str, ...]
    """The categories with a bin of their own, most frequent first."""
    shown: int
    """How many of them have their own coarse bin; the rest are `other`."""
    known: tuple[int, ...] | None = None
    """The hash bins that the reference fills; `None` while the reference itself is counted."""

    @property
    def size(self) -> int:
        """How many bins there are, the one of the missing values included."""
        return len(self.categories) + BUCKETS + 1

    @property
    def coarse_size(self) -> int:
        """How many coarse bins there are: shown categories, `other`, unseen, missing."""
        return self.shown + 3

    @property
    def lookup(self) -> npt.NDArray[np.uint8]:
        """The coarse bin of each bin."""
        coarse = np.full(self.size, self.shown, np.uint8)
        coarse[: self.shown] = np.arange(self.shown)
        if self.known is not None:
            buckets = np.full(BUCKETS, self.shown + 1, np.uint8)
            buckets[list(self.known)] = self.shown
            coarse[len(self.categories) : -1] = buckets
        coarse[-1] = self.shown + 2
        return coarse

    def encode(self, values: pa.Array) -> tuple[Places, Counts]:
        """Finds the bin of each value.

        Args:
            values: Part of the column.

        Returns:
            A bin for each row, and no sums.
        """
        bins, rows = self.entries(values)
        return bins[rows], np.zeros(0, np.int64)

    def count(self, values: pa.Array, chosen: Places) -> tuple[Counts, Places]:
        """Counts the values in each bin, without giving every row its bin.

        Args:
            values: Part of the column.
            chosen: Some of its rows.

        Returns:
            One count for each bin, and the bins of the chosen rows.
        """
        bins, rows = self.entries(values)
        counts = np.bincount(rows, minlength=len(bins))
        return np.bincount(bins, weights=counts, minlength=self.size).astype(np.int64), bins[rows[chosen]]

    def entries(self, values: pa.Array) -> tuple[Places, Places]:
        """Finds the bin of each different value.

        Args:
            values: Part of the column.

        Returns:
            The bins of the different values, a missing one last, and for each row which of them it holds.
        """
        coded = encode_dictionary(values)
        entries = coded.dictionary
        rows = pc.fill_null(coded.indices, len(entries)) if coded.indices.null_count else coded.indices
        named = pc.index_in(entries, value_set=pa.array(self.categories, pa.string()))
        bins = np.asarray(pc.fill_null(named, 0)).astype(np.intp)
        other = np.asarray(named.is_null())
        if other.any():
            hashed = hash_texts(entries.filter(pa.array(other)))
            bins[other] = len(self.categories) + (hashed % np.uint64(BUCKETS)).astype(np.intp)
        bins[np.asarray(entries.is_null())] = self.size - 1
        return np.append(bins, self.size - 1), np.asarray(rows)

    def names(self) -> list[str]:
        """Names the coarse bins for a person.

        Returns:
            The shown categories, `other`, `unseen` and `missing`.
        """
        return [*self.categories[: self.shown], "other", "unseen", "missing"]

    def known_from(self, counts: Counts) -> CategoricalBins:
        """Remembers which hash bins the reference fills, so that a current category can be told to be unseen.

        Where the reference itself keeps bringing new categories, the next one is no news: the share of rows whose
        category was seen once estimates how often that happens (Good 1953, Biometrika 40).

        Args:
            counts: The reference's counts.

        Returns:
            The bins for a current window.
        """
        buckets = counts[len(self.categories) : -1]
        renews = int((buckets == 1).sum()) > RENEWAL * int(counts[:-1].sum())
        known = range(BUCKETS) if renews else np.flatnonzero(buckets).tolist()
        return CategoricalBins(self.name, self.categories, self.shown, tuple(known))


def encode_dictionary(values: pa.Array) -> pa.DictionaryArray:
    """Encodes a column as a dictionary of texts.

    Args:
        values: Texts, truth values, a dictionary, or anything that has a text.

    Returns:
        The dictionary and each row's place in it.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        texts = values.dictionary.cast(pa.string())
        return values if kind.value_type == pa.string() else pa.DictionaryArray.from_arrays(values.indices, texts)
    if pa.types.is_boolean(kind):
        return pa.DictionaryArray.from_arrays(values.cast(pa.int8()), pa.array(["false", "true"]))
    coded = values.dictionary_encode()
    return coded if kind == pa.string() else encode_dictionary(coded)


def hash_texts(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """Hashes texts (SipHash with a fixed key), a missing one as an empty one.

    Args:
        texts: Any texts.

    Returns:
        One word for each.
    """
    if not len(texts):
        return np.zeros(0, np.uint64)
    values = pc.fill_null(texts, "").to_numpy(zero_copy_only=False)
    return np.asarray(pd.util.hash_array(values, hash_key=_KEY, categorize=False))
