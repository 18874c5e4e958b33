"""Which versions are kept: whatever serves, may serve again or waits for somebody, and the newest ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice


def kept_versions(
    versions: Iterable[int], champions: Iterable[int], bound: Collection[int], newest: int
) -> frozenset[int]:
    """Picks the versions that are kept.

    Args:
        versions: All versions of a project.
        champions: The versions that were champion, a generation each, the newest first; the first of them serves.
        bound: Those that are kept whatever their age: they wait for a verdict or a person, or an alias names them.
        newest: How many of the newest versions are kept, and how many generations back a rollback may go; the one that
            serves is kept always.

    Returns:
        The versions to keep.

    Example:
        >>> sorted(kept_versions(range(1, 10), champions=[7, 3, 2], bound={5}, newest=2))
        [3, 5, 7, 8, 9]
        >>> sorted(kept_versions([1, 2, 3], champions=[1], bound=(), newest=0))
        [1]
    """
    there = sorted(versions)
    young = there[max(0, len(there) - newest) :]
    return frozenset({*young, *islice(champions, max(newest, 1)), *bound} & set(there))
