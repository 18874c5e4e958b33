"""Who is drawn: a share of all names, the same ones whenever and wherever one asks."""

from __future__ import annotations

from hashlib import blake2b

BITS = 64


def drawn(draw: str, name: str, share: float) -> bool:
    """Tells whether a name is among the share that is drawn.

    A hash of both is taken for a number between 0 and 1: it is nearly uniform, and another draw asks another hash, so
    that whoever was drawn once is not drawn every time (Kohavi, Tang and Xu, Trustworthy Online Controlled
    Experiments, 2020, chapter 4).

    Args:
        draw: Names the draw.
        name: Who may be drawn.
        share: Of all names, from 0 to 1.

    Returns:
        The same answer for the same three.

    Example:
        >>> sum(drawn("parcels 7", str(parcel), 0.1) for parcel in range(1_000))
        97
    """
    digest = blake2b(f"{draw}\0{name}".encode(), digest_size=BITS // 8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**BITS
