"""The cells that a column of categories is counted in: the frequent ones by name, all others by a hash of their name.

The reference may hold categories that the sample for the anchors missed. They fall into one of 4,096 hash cells. A
current category is unseen when its hash cell is empty in the reference: some new ones may hide behind an old one that
way, but counts add up exactly and take bounded memory, whatever comes.

A column's values as plain numbers, whatever type they come in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import DataError

Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

BUCKETS = 4_096
"""Hash cells for categories without a cell of their own."""

RENEWAL = 0.001
"""Where more of the reference than this are categories seen once, new ones are its habit, and count as `other`."""

_KEY = "refit.categories"


@dataclass(frozen=True, slots=True)
class CategoricalBins:
    """The cells of one column of categories: the named ones, the hash cells, the missing values."""

    name: str
    """The column."""
    categories: tuple[str, ...]
    """The categories with a cell of their own, most frequent first."""
    shown: int
    """How many of them are a coarse cell of their own; the rest are `other`."""
    known: tuple[int, ...] | None = None
    """The hash cells that hold something in the reference; `None` while the reference itself is counted."""

    @property
    def size(self) -> int:
        """How many cells there are, the one of the missing values included."""
        return len(self.categories) + BUCKETS + 1

    @property
    def coarse_size(self) -> int:
        """How many coarse cells there are: shown categories, `other`, unseen, missing."""
        return self.shown + 3

    @property
    def lookup(self) -> npt.NDArray[np.uint8]:
        """The coarse cell of each cell."""
        coarse = np.full(self.size, self.shown, np.uint8)
        coarse[: self.shown] = np.arange(self.shown)
        if self.known is not None:
            buckets = np.full(BUCKETS, self.shown + 1, np.uint8)
            buckets[list(self.known)] = self.shown
            coarse[len(self.categories) : -1] = buckets
        coarse[-1] = self.shown + 2
        return coarse

    def encode(self, values: pa.Array) -> tuple[Places, Counts]:
        """Finds the cell of each value.

        Args:
            values: Part of the column.

        Returns:
            A cell for each row, and no sums.
        """
        cells, rows = self.entries(values)
        return cells[rows], np.zeros(0, np.int64)

    def count(self, values: pa.Array, chosen: Places) -> tuple[Counts, Places]:
        """Counts the values in each cell, without giving every row its cell.

        Args:
            values: Part of the column.
            chosen: Some of its rows.

        Returns:
            One count for each cell, and the cells of the chosen rows.
        """
        cells, rows = self.entries(values)
        counts = np.bincount(rows, minlength=len(cells))
        return np.bincount(cells, weights=counts, minlength=self.size).astype(np.int64), cells[rows[chosen]]

    def entries(self, values: pa.Array) -> tuple[Places, Places]:
        """Finds the cell of each different value.

        Args:
            values: Part of the column.

        Returns:
            The cells of the different values, a missing one last, and for each row which of them it holds.
        """
        coded = encode_dictionary(values)
        entries = coded.dictionary
        rows = pc.fill_null(coded.indices, len(entries)) if coded.indices.null_count else coded.indices
        named = pc.index_in(entries, value_set=pa.array(self.categories, pa.string()))
        cells = np.asarray(pc.fill_null(named, 0)).astype(np.intp)
        other = np.asarray(named.is_null())
        if other.any():
            hashed = hash_texts(entries.filter(pa.array(other)))
            cells[other] = len(self.categories) + (hashed % np.uint64(BUCKETS)).astype(np.intp)
        cells[np.asarray(entries.is_null())] = self.size - 1
        return np.append(cells, self.size - 1), np.asarray(rows)

    def names(self) -> list[str]:
        """Names the coarse cells for a person.

        Returns:
            The shown categories, `other`, `unseen` and `missing`.
        """
        return [*self.categories[: self.shown], "other", "unseen", "missing"]

    def known_from(self, counts: Counts) -> CategoricalBins:
        """Remembers which hash cells the reference fills, so that a current category can be told to be unseen.

        Where the reference itself keeps bringing new categories, the next one is no news: the share of rows whose
        category was seen once estimates how often that happens (Good 1953, Biometrika 40).

        Args:
            counts: The reference's counts.

        Returns:
            The cells for a current window.
        """
        buckets = counts[len(self.categories) : -1]
        renews = int((buckets == 1).sum()) > RENEWAL * int(counts[:-1].sum())
        known = range(BUCKETS) if renews else np.flatnonzero(buckets).tolist()
        return CategoricalBins(self.name, self.categories, self.shown, tuple(known))


def encode_dictionary(values: pa.Array) -> pa.DictionaryArray:
    """Gives a column's values as texts, each different one once.

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


Floats = npt.NDArray[np.float64]


def cast_to_floats(values: pa.Array, name: str) -> Floats:
    """Gives a column's values as numbers.

    Args:
        values: Numbers, truth values, dates or times.
        name: The column, for the message.

    Returns:
        One number for each row, NaN where it is missing; times are microseconds.

    Raises:
        DataError: If the values are no numbers.
    """
    if pa.types.is_float64(values.type) and not values.null_count:
        return np.asarray(values.to_numpy())
    try:
        numbers = pc.cast(_whole(values), pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise DataError(
            f"column {name!r} is of type {values.type}, where the reference holds numbers: give it its old type back, "
            "or retrain the model on the new one"
        ) from error
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _whole(values: pa.Array) -> pa.Array:
    """Makes whole numbers of dates, times and truth values."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _whole(values.dictionary_decode())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pc.cast(pc.cast(values, pa.timestamp("us", getattr(kind, "tz", None)), safe=False), pa.int64())
    if pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return pc.cast(values, pa.int64())
    if pa.types.is_time32(kind) or pa.types.is_boolean(kind):
        return pc.cast(values, pa.int32())
    return values
