"""The mixing of bits for hashes and samples of rows; stored hashes and samples depend on it, so it never changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]


def splitmix64(words: Words) -> Words:
    """Mixes the bits of 64-bit words (splitmix64, Steele et al. 2014).

    Args:
        words: Any words.

    Returns:
        Pseudorandom words, different for different inputs.

    Example:
        >>> [hex(word) for word in splitmix64(np.array([1, 2], np.uint64)).tolist()]
        ['0x5692161d100b05e5', '0xdbd238973a2b148a']
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed
