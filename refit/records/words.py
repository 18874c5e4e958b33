"""Numbers as the reasons of a gate write them."""

from __future__ import annotations

import math


def number(value: float) -> float | None:
    """Leaves out what JSON has no number for.

    Args:
        value: Any number.

    Returns:
        The number, or `None` where it is NaN or infinite.
    """
    return value if math.isfinite(value) else None


def digits(value: float) -> str:
    """Writes a score.

    Args:
        value: The score; NaN where it is not defined.

    Returns:
        Four digits, or words.
    """
    return "not defined on these rows" if math.isnan(value) else f"{value:.4g}"
