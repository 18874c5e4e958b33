"""Hashes of rows, fingerprints of sets of rows, and samples drawn by hash.

A row gets two independent 64-bit hashes. Each cell's bits are mixed with seeds made of its column's name and type
(splitmix64, Steele et al. 2014; texts are hashed by SipHash first). The cells are summed modulo 2**64, so that the
order of the columns does not matter, and the sum is mixed again. The sum of the hashes of all rows modulo 2**64 is a
fingerprint that depends neither on the order of the rows nor on how they are split into parts.

A sample keeps the rows with the smallest hashes: its size is bounded, one pass is enough, and the order of the rows
does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.data.casting import family_of, stored_values
from refit.hashing import splitmix64

Hashes = npt.NDArray[np.uint64]
Identities = npt.NDArray[np.bytes_]
_KEYS = ("refit.fingerprt1", "refit.fingerprt2")
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def row_hashes(rows: pa.Table, columns: Sequence[str] | None = None) -> Hashes:
    """Hashes every row over some columns.

    Args:
        rows: Columns of numbers, truth values, times or text; a missing value is hashed as a value of its own.
        columns: The columns to hash, in any order; all of them by default.

    Returns:
        An array of shape (rows, 2).
    """
    total = np.zeros((2, rows.num_rows), np.uint64)
    for name in rows.column_names if columns is None else columns:
        total += _hash_column(rows.column(name).combine_chunks(), name)
    return np.ascontiguousarray(splitmix64(total).T)


def row_identities(rows: pa.Table, columns: Sequence[str] | None = None) -> Identities:
    """Returns the hashes of `row_hashes` as one value of 16 bytes per row, which can be sorted and searched.

    Args:
        rows: As for `row_hashes`.
        columns: As for `row_hashes`.

    Returns:
        An array of shape (rows,).
    """
    return row_hashes(rows, columns).view("S16").reshape(-1)


class IdentityIndex:
    """A search index over row identities."""

    def __init__(self, among: Identities) -> None:
        self._order = np.argsort(among, kind="stable")
        self._sorted = among[self._order]

    def find(self, wanted: Identities) -> npt.NDArray[np.intp]:
        """Finds identities in the index.

        Args:
            wanted: The identities to find.

        Returns:
            Their positions in the indexed array, the first one of duplicates, and -1 if absent.
        """
        if not len(self._sorted):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        return np.where(self._sorted[at] == wanted, self._order[at], -1)

    def superseded(self) -> npt.NDArray[np.bool_]:
        """Marks the identities that occur again later.

        Returns:
            A boolean mask over the indexed array.
        """
        mask = np.zeros(len(self._order), np.bool_)
        mask[self._order[:-1]] = self._sorted[:-1] == self._sorted[1:]
        return mask


def count_common(one: Identities, other: Identities) -> int:
    """Counts the rows that two sets of rows share; duplicates count as often as both sets contain them.

    Args:
        one: Identities of rows.
        other: Identities of other rows.

    Returns:
        The size of the intersection of the multisets.
    """
    names, counts = np.unique(one, return_counts=True)
    others, other_counts = np.unique(other, return_counts=True)
    at = IdentityIndex(others).find(names)
    return int(np.minimum(counts[at >= 0], other_counts[at[at >= 0]]).sum())


def not_in(new: Identities, known: Identities) -> npt.NDArray[np.bool_]:
    """Marks the rows that are not among known ones; of duplicates, those beyond the known number.

    Args:
        new: Identities of rows.
        known: Identities of known rows.

    Returns:
        A boolean mask over the new rows; the first of duplicates count as the known ones.
    """
    names, counts = np.unique(known, return_counts=True)
    order = np.argsort(new, kind="stable")
    at, ordered = IdentityIndex(names).find(new[order]), new[order]
    starts = np.searchsorted(ordered, ordered)  # where the equals of each begin
    mask = np.ones(len(new), np.bool_)
    mask[order] = np.arange(len(new)) - starts >= np.append(counts, 0)[at]
    return mask


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The content of a set of rows; the fingerprints of parts can be added."""

    columns: tuple[str, ...]
    """Name and type of each column, sorted."""
    rows: int = 0
    """The number of rows."""
    sums: tuple[int, int] = (0, 0)
    """The sums of the rows' two hashes, modulo 2**64."""

    def __add__(self, other: Fingerprint) -> Fingerprint:
        if self.columns != other.columns:
            raise ValueError(f"fingerprints of different columns cannot be added: {self.columns} and {other.columns}")
        first, second = ((one + two) % 2**64 for one, two in zip(self.sums, other.sums, strict=True))
        return Fingerprint(self.columns, self.rows + other.rows, (first, second))

    def __str__(self) -> str:
        """Returns 32 hexadecimal characters of a SHA-256 over columns, count and sums."""
        return sha256(repr((self.columns, self.rows, self.sums)).encode()).hexdigest()[:32]


def fingerprint(parts: Iterable[pa.Table], schema: pa.Schema) -> Fingerprint:
    """Fingerprints rows in one pass.

    Args:
        parts: The rows in any order and any parts, all with that schema.
        schema: Names and types of the columns; their order does not matter.

    Returns:
        The fingerprint of all rows.
    """
    columns = tuple(sorted(f"{field.name}: {field.type}" for field in schema))
    return sum((_fingerprint_part(part, columns) for part in parts), start=Fingerprint(columns))


def bottom_k_sample(batches: Iterable[pa.Table], identity: Sequence[str], most: int) -> pa.Table | None:
    """Draws a uniform sample: the rows with the smallest hashes (bottom-k, Cohen and Kaplan 2007, PODC).

    Args:
        batches: The rows, some thousand at a time.
        identity: The columns that identify a row; only they are hashed.
        most: The most rows of the sample.

    Returns:
        The sample, the same for any order and any parts of the rows; all rows if there are few enough, `None` if there
        are none.
    """
    kept, marks = None, np.empty(0, np.uint64)
    for batch in batches:
        both = batch if kept is None else pa.concat_tables([kept, batch])
        hashes = np.concatenate([marks, _sample_hashes(batch, identity)])
        smallest = np.argsort(hashes, kind="stable")[:most]
        kept, marks = both.take(pa.array(smallest)), hashes[smallest]
    return kept


def _fingerprint_part(rows: pa.Table, columns: tuple[str, ...]) -> Fingerprint:
    first, second = row_hashes(rows).sum(axis=0, dtype=np.uint64).tolist()
    return Fingerprint(columns, rows.num_rows, (first, second))


def _hash_column(values: pa.Array, name: str) -> Hashes:
    values = stored_values(values)
    digest = blake2b(f"{name}\0{values.type}".encode(), digest_size=16).digest()
    seeds = np.frombuffer(digest, np.uint64).reshape(2, 1)
    hashed = splitmix64(_bits(values) + seeds)
    if values.null_count:
        hashed = np.where(np.asarray(values.is_valid()), hashed, splitmix64(seeds ^ _MISSING))
    return hashed


def _bits(values: pa.Array) -> Hashes:
    """Returns one 64-bit word per cell, two for texts; missing cells get arbitrary words."""
    if family_of(values.type) in ("text", "nothing"):
        return _hash_texts(values)
    if pa.types.is_floating(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False) + 0.0  # makes -0.0 a plain zero
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    whole = values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values
    words: Hashes = whole.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    return words


def _hash_texts(values: pa.Array) -> Hashes:
    coded = values.dictionary_encode()
    if not len(coded.dictionary):
        return np.zeros((2, len(values)), np.uint64)
    texts = coded.dictionary.to_numpy(zero_copy_only=False)
    hashes = np.stack([pd.util.hash_array(texts, hash_key=key, categorize=False) for key in _KEYS])
    return hashes[:, pc.fill_null(coded.indices, 0).to_numpy(zero_copy_only=False)]


def _sample_hashes(batch: pa.Table, identity: Sequence[str]) -> npt.NDArray[np.uint64]:
    rows = batch.select(list(identity)).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)
