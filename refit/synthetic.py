"""Made-up rows for projects that must run anywhere: seeded day by day, with a drift that can be switched on.

A row's content depends on the seed, its day and the switch, never on the window that asks for it; only its label is
missing as long as it would not have arrived by the end of the window.
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
"""Where every made-up history begins; it never ends."""
_PIECE_DAYS = 100
"""How many days a frame holds at most."""
_EXAMPLE = "covariate@2026-04-01,concept@2026-05-01"
_ITEM = re.compile(r"(covariate|concept)@(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True, slots=True)
class Drift:
    """From which day on what has changed; `None` is never.

    Example:
        >>> Drift.parse("concept@2026-05-01").concept
        datetime.datetime(2026, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """

    covariate: datetime | None = None
    """From here the inputs move, and the outcome given the inputs stays."""
    concept: datetime | None = None
    """From here the outcome given the inputs is another one."""

    @classmethod
    def parse(cls, text: str) -> Drift:
        """Reads a switch.

        Args:
            text: Items such as `covariate@2026-04-01`, separated by commas; empty for no drift.

        Raises:
            ProjectError: If an item is anything else, or a kind stands there twice.
        """
        days: dict[str, datetime] = {}
        for item in filter(None, text.strip().split(",")):
            match = _ITEM.fullmatch(item.strip())
            if match is None or match[1] in days:
                raise ProjectError(f"{item!r} is no drift: write each of covariate and concept once, as {_EXAMPLE}")
            days[match[1]] = _day(match[2])
        return cls(**days)

    def moves_inputs(self, day: datetime) -> bool:
        """Tells whether the covariate drift is on.

        Args:
            day: The day, UTC.
        """
        return self.covariate is not None and day >= self.covariate

    def moves_outcome(self, day: datetime) -> bool:
        """Tells whether the concept drift is on.

        Args:
            day: The day, UTC.
        """
        return self.concept is not None and day >= self.concept


@dataclass(frozen=True, slots=True)
class Simulation:
    """A table that grows by some rows a day."""

    seed: int
    day: Callable[[np.random.Generator, datetime, Drift], pd.DataFrame]
    """Makes the rows of one day, given its own generator of random numbers."""
    timestamp: str
    """The column of event times, which lie within that day."""
    target: str
    """The column of labels."""
    label_delay: timedelta
    """How long after the event its label arrives."""

    def rows(self, window: Window, drift: Drift) -> Iterator[pd.DataFrame]:
        """Gives the rows of a window as they are known at its end, in the order of their times.

        Args:
            window: The event times asked for.
            drift: What changes, and when.

        Returns:
            Frames of some months each; none where nothing has happened yet.
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
    """Draws categories.

    Args:
        rng: The source of randomness.
        shares: From category to its weight; `None` is a missing value.
        rows: How many to draw.

    Returns:
        An array of objects of that length.
    """
    weights = np.array(list(shares.values()))
    return np.array(list(shares), dtype=object)[rng.choice(len(shares), size=rows, p=weights / weights.sum())]


def with_gaps(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """Leaves values out at random.

    Args:
        rng: The source of randomness.
        values: Numbers.
        share: The share to leave out.

    Returns:
        The numbers as floats, NaN where left out.
    """
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise ProjectError(f"{text!r} in the drift is no day ({error}): write it as {_EXAMPLE}") from error
