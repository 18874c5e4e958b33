"""Every measure of one column, from two profiles."""

from __future__ import annotations

from dataclasses import dataclass

from refit.drift import distances as measures
from refit.drift.numeric_bins import NumberCells
from refit.drift.profile import Profile


@dataclass(frozen=True, slots=True)
class Change:
    """How far one column of the current window lies from the reference, without a judgement."""

    psi: float
    """Over the coarse cells, missing and unseen values included."""
    distance: float
    """Wasserstein distance in reference standard deviations for a number, Jensen-Shannon distance for a category."""
    jensen_shannon: float
    """Over the coarse cells."""
    kolmogorov_smirnov: float | None
    """`None` for a category."""
    missing_change: float
    """Share of missing values, current minus reference."""
    unseen: float
    """Share of current values of no category of the reference."""


def change(reference: Profile, current: Profile, column: str) -> Change:
    """Measures one column.

    Args:
        reference: The reference's profile.
        current: The current window's, counted in `reference.anchors.unblocked()`.
        column: The column.

    Returns:
        The measures; where a column is constant in the reference, its distance is in the column's own unit.
    """
    old, new = reference.coarse(column).sum(axis=0), current.coarse(column).sum(axis=0)
    shannon = measures.jensen_shannon(old, new)
    number = isinstance(reference.cells(column), NumberCells)
    return Change(
        measures.psi(old, new),
        distance(reference, current, column) if number else shannon,
        shannon,
        measures.kolmogorov_smirnov(reference.fine(column), current.fine(column)) if number else None,
        measures.missing_change(old, new),
        measures.unseen_share(new),
    )


def distance(reference: Profile, current: Profile, column: str) -> float:
    """Gives the Wasserstein distance of a column of numbers, in reference standard deviations.

    Args:
        reference: The reference's profile.
        current: The current window's.
        column: The column.

    Returns:
        The distance; in the column's own unit where it is constant in the reference.
    """
    cells = reference.cells(column)
    assert isinstance(cells, NumberCells)  # noqa: S101 - what a caller asks of a category is a mistake in the code
    bounds, middles = cells.bounds, reference.middles(column)
    spread = measures.deviation(reference.fine(column), bounds, middles, points=cells.points)
    apart = measures.wasserstein(reference.fine(column), current.fine(column), bounds, middles, current.middles(column))
    return apart / (spread or 1.0)
