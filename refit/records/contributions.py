"""Sums of the rows' contributions to a score in blocks of time, as the ledger keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stratum:
    """The rows that share in a score alike: those of one class, or all rows."""

    rows: tuple[int, ...]
    """How many of them each block of time has."""
    sums: tuple[float, ...]
    """The sum of their contributions in each block, in the metric's unit times rows."""
    variance: float | None = None
    """The variance of the contributions of single rows."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """How a score over all rows is made up of its blocks: the mean of all contributions is the score."""

    strata: tuple[Stratum, ...]
    """At least one; together they contain every row once, in the same blocks."""
