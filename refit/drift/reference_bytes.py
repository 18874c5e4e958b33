"""A reference profile as bytes: what is kept with a model."""

from __future__ import annotations

from refit.drift.comparison import Reference
from refit.drift.serialization import from_bytes, to_bytes

_LENGTH = 8
"""Bytes that tell how long the first profile is."""


def pack(reference: Reference) -> bytes:
    """Writes a reference: the profile of the features, with its numbers, and that of the scores behind it.

    Args:
        reference: The reference.

    Returns:
        The same bytes for the same reference.
    """
    numbers = {"domain_mean": reference.domain_mean, "domain_limit": reference.domain_limit}
    data = to_bytes(reference.data, numbers)
    return len(data).to_bytes(_LENGTH, "little") + data + (to_bytes(reference.scores) if reference.scores else b"")


def unpack(stored: bytes) -> Reference:
    """Reads what `pack` wrote.

    Args:
        stored: The bytes.

    Returns:
        The reference.

    Raises:
        ModelError: If they are damaged.
    """
    end = _LENGTH + int.from_bytes(stored[:_LENGTH], "little")
    data, numbers = from_bytes(stored[_LENGTH:end])
    return Reference(data, from_bytes(stored[end:])[0] if stored[end:] else None, **numbers)
