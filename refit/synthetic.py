"""Synthetic data for projects that must run anywhere: seeded day by day, with optional drift.

A row depends on the seed, its day and the drift settings, never on the requested window; its label is missing until the
label delay has passed at the end of the window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from refit.errors import ProjectError
from refit.windows import Window

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""The first day of every synthetic history; there is no last one."""
_PIECE_DAYS = 100
"""The most days in one frame."""
_EXAMPLE = "covariate@2026-04-01,concept@2026-05-01"
_ITEM = re.compile(r"(covariate|concept)@(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True, slots=True)
class Drift:
    """The days on which drift begins; `None` is never.

    Example:
        >>> Drift.parse("concept@2026-05-01").concept
        datetime.datetime(2026, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """

    covariate: datetime | None = None
    """From this day the inputs change, but not the outcome given the inputs."""
    concept: datetime | None = None
    """From this day the outcome given the inputs changes."""

    @classmethod
    def parse(cls, text: str) -> Drift:
        """Parses drift settings.

        Args:
            text: Items such as `covariate@2026-04-01`, separated by commas; empty for no drift.

        Returns:
            The days on which drift begins.

        Raises:
            ProjectError: If an item is not of this form, or a kind of drift is given twice.
        """
        days: dict[str, datetime] = {}
        for item in filter(None, text.strip().split(",")):
            match = _ITEM.fullmatch(item.strip())
            if match is None or match[1] in days:
                raise ProjectError(f"{item!r} is not a drift setting: write covariate or concept once, as {_EXAMPLE}")
            days[match[1]] = _day(match[2])
        return cls(**days)

    def moves_inputs(self, day: datetime) -> bool:
        """Returns whether the covariate drift has begun.

        Args:
            day: The day, UTC.
        """
        return self.covariate is not None and day >= self.covariate

    def moves_outcome(self, day: datetime) -> bool:
        """Returns whether the concept drift has begun.

        Args:
            day: The day, UTC.
        """
        return self.concept is not None and day >= self.concept


@dataclass(frozen=True, slots=True)
class Simulation:
    """A table that grows by some rows every day."""

    seed: int
    """The seed of every random number."""
    day: Callable[[np.random.Generator, datetime, Drift], pd.DataFrame]
    """Generates the rows of one day from its own random number generator."""
    timestamp: str
    """The column of event times, which lie within that day."""
    target: str
    """The column of labels."""
    label_delay: timedelta
    """The time from an event until its label arrives."""

    def rows(self, window: Window, drift: Drift) -> Iterator[pd.DataFrame]:
        """Generates the rows of a window as they are known at its end, in the order of their times.

        Args:
            window: The requested event times.
            drift: What changes, and when.

        Yields:
            Frames of at most 100 days; none for windows before the first day.
        """
        first, last = ((max(bound, FIRST_DAY) - FIRST_DAY) // timedelta(days=1) for bound in (window.start, window.end))
        for piece in range(first, last + 1, _PIECE_DAYS):
            numbers = range(piece, min(piece + _PIECE_DAYS, last + 1))
            rows = pd.concat([self._day(number, drift) for number in numbers], ignore_index=True)
            rows = rows[window.holds(rows[self.timestamp])].sort_values(self.timestamp, kind="stable")
            if not rows.empty:
                yield self._as_known(rows, window.end).reset_index(drop=True)

    def _day(self, number: int, drift: Drift) -> pd.DataFrame:
        return self.day(np.random.default_rng([self.seed, number]), FIRST_DAY + timedelta(days=number), drift)

    def _as_known(self, rows: pd.DataFrame, moment: datetime) -> pd.DataFrame:
        arrived = rows[self.timestamp] + self.label_delay <= moment
        return rows.assign(**{self.target: rows[self.target].where(arrived)})


def chosen(rng: np.random.Generator, shares: dict[str | None, float], rows: int) -> np.ndarray:
    """Draws random categories.

    Args:
        rng: The random number generator.
        shares: Categories and their weights; `None` is a missing value.
        rows: The number of draws.

    Returns:
        An object array of that length.
    """
    weights = np.array(list(shares.values()))
    return np.array(list(shares), dtype=object)[rng.choice(len(shares), size=rows, p=weights / weights.sum())]


def with_gaps(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """Replaces random values with NaN.

    Args:
        rng: The random number generator.
        values: Numbers.
        share: The share of values to replace, from 0 to 1.

    Returns:
        The numbers as floats.
    """
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise ProjectError(f"{text!r} is not a date ({error}): write the drift as {_EXAMPLE}") from error
