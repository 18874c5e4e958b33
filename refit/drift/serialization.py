"""Serialization of profiles and references, which are stored with a model.

A profile is a JSON header and the counts, compressed, with a digest. It contains no code, and equal profiles give equal
bytes.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from refit.drift.binning import Binning, Bins
from refit.drift.categorical_bins import CategoricalBins
from refit.drift.comparison import Reference, ScoreProfile
from refit.drift.numeric_bins import NumericBins, Scale
from refit.drift.profile import Profile
from refit.drift.row_sample import Sample
from refit.errors import ModelError
from refit.records.references import ComparedModel

Array = npt.NDArray[Any]

_MAGIC = b"refit profile 1\n"
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
_FAST_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1}]
_LARGE = 1_000_000
"""From this many bytes on, as of a table of hundreds of columns, a profile is compressed 20 times as fast and some 12 %
less. Both are read alike."""
_KINDS: dict[type[Bins], str] = {NumericBins: "NumberCells", CategoricalBins: "CategoryCells"}
_SIZES = ("<u1", "<u2", "<u4", "<u8")
_LENGTH = 8
"""Bytes that tell how long the first profile is."""


def profile_to_bytes(profile: Profile, extra: Mapping[str, Any] | None = None) -> bytes:
    """Serializes a profile.

    Args:
        profile: Any profile.
        extra: Values to keep with it, such as JSON can hold.

    Returns:
        The bytes: a mark, a SHA-256 of the rest, the rest.
    """
    sample = profile.sample
    groups = [profile.counts, profile.sums, profile.blocked, (sample.hashes, sample.weights, sample.codes)]
    arrays = [_shrink(array) for group in groups for array in group]
    header = {
        "columns": [{"kind": _KINDS[type(cells)], **asdict(cells)} for cells in profile.binning.columns],
        "edges": profile.binning.edges,
        "identity": profile.binning.identity,
        "rows": profile.rows,
        "groups": [len(group) for group in groups],
        "arrays": [[array.dtype.str, array.shape] for array in arrays],
        "extra": dict(extra or {}),
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    content = len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays)
    filters = _FILTERS if len(content) < _LARGE else _FAST_FILTERS
    packed = lzma.compress(content, lzma.FORMAT_RAW, filters=filters)
    return _MAGIC + sha256(packed).digest() + packed


def profile_from_bytes(data: bytes) -> tuple[Profile, dict[str, Any]]:
    """Restores a profile.

    Args:
        data: The bytes.

    Returns:
        The profile and the extra values.

    Raises:
        ModelError: If the bytes are damaged, or of another version.
    """
    start = len(_MAGIC) + sha256().digest_size
    packed = data[start:]
    if not data.startswith(_MAGIC) or data[len(_MAGIC) : start] != sha256(packed).digest():
        raise ModelError(
            f"the stored reference profile ({len(data):,} bytes) is damaged or of another version of Refit: "
            "retrain the model, which stores a new one"
        )
    content = lzma.decompress(packed, lzma.FORMAT_RAW, filters=_FILTERS)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return _profile(header, _arrays(content[end:], header["arrays"])), header["extra"]


def reference_to_bytes(reference: Reference) -> bytes:
    """Serializes a reference: the profile of the features with the classifier's limits, then that of the scores.

    Args:
        reference: The reference.

    Returns:
        The same bytes for the same reference.
    """
    numbers = {"domain_mean": reference.domain_mean, "domain_limit": reference.domain_limit}
    data, known = profile_to_bytes(reference.data, numbers), reference.scores
    scores = profile_to_bytes(known.profile, asdict(known.model)) if known else b""
    return len(data).to_bytes(_LENGTH, "little") + data + scores


def reference_from_bytes(stored: bytes, compared: ComparedModel) -> Reference:
    """Restores a reference.

    Args:
        stored: The bytes.
        compared: The compared model of the version, for a reference of a former release, which does not name it.

    Returns:
        The reference.

    Raises:
        ModelError: If they are damaged.
    """
    end = _LENGTH + int.from_bytes(stored[:_LENGTH], "little")
    data, numbers = profile_from_bytes(stored[_LENGTH:end])
    return Reference(data, _restore_scores(stored[end:], compared) if stored[end:] else None, **numbers)


def _restore_scores(stored: bytes, compared: ComparedModel) -> ScoreProfile:
    profile, named = profile_from_bytes(stored)
    return ScoreProfile(profile, ComparedModel(**named) if named else compared)


def _shrink(array: Array) -> Array:
    """Casts to the smallest unsigned type that holds the largest number; all are at least 0."""
    most = int(array.max()) if array.size else 0
    size = next(size for size in _SIZES if most <= np.iinfo(size).max)
    return np.ascontiguousarray(array.astype(size))


def _arrays(content: bytes, forms: list[tuple[str, list[int]]]) -> list[Array]:
    arrays, start = [], 0
    for size, shape in forms:
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(content, size, count, start).reshape(shape))
        start += arrays[-1].nbytes
    return arrays


def _profile(header: dict[str, Any], arrays: list[Array]) -> Profile:
    ends = np.cumsum(header["groups"]).tolist()
    counts, sums, blocked = (
        tuple(array.astype(np.int64) for array in arrays[start:end])
        for start, end in zip([0, *ends], ends[:3], strict=False)
    )
    hashes, weights, codes = arrays[ends[2] :]
    sample = Sample(hashes.astype(np.uint64), weights.astype(np.int64), codes.astype(np.uint8))
    columns = tuple(_cells(column) for column in header["columns"])
    binning = Binning(columns, tuple(header["edges"]), tuple(header["identity"]))
    return Profile(binning, header["rows"], counts, sums, blocked, sample)


def _cells(fields: dict[str, Any]) -> Bins:
    kind = fields.pop("kind")
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    if kind == _KINDS[CategoricalBins]:
        return CategoricalBins(**{**fields, **lists})
    return NumericBins(**{**fields, **lists, "scale": Scale(**fields["scale"])})
