"""Quantiles of Student's t distribution without scipy, for commands that read the record and import no engine."""

from __future__ import annotations

import math

HALVINGS = 200
"""Of the interval that holds the quantile; doubles are exhausted before that."""


def t_quantile(probability: float, freedom: int) -> float:
    """Gives a quantile in the upper half.

    Args:
        probability: From 0.5 up to, but not including, 1.
        freedom: Degrees of freedom, at least 1.

    Returns:
        The value that a variable with this distribution exceeds with the probability `1 - probability`.

    Example:
        >>> round(t_quantile(0.975, 9), 6)
        2.262157
    """
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return high


def t_cdf(value: float, freedom: int) -> float:
    """Gives the distribution function by its finite sums (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).

    Args:
        value: Not negative.
        freedom: Degrees of freedom, at least 1.

    Returns:
        The probability that a variable with this distribution is at most `value`.
    """
    angle = math.atan2(value, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term = total = cosine if freedom % 2 else 1.0
    for step in range(2 + freedom % 2, freedom - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    if freedom % 2 == 0:
        return (1 + sine * total) / 2
    return 0.5 + (angle + (sine * total if freedom > 1 else 0.0)) / math.pi
