"""How often the drift alarms fire: on rows, through profile, comparison and persistence, as a monitor run does it.

20 columns and a prediction; a reference of 100 days of 500 rows, then windows of 1, 10 and 100 days. Without drift, the
days differ by chance alone, or move as real data does; with drift, two windows of 10 days have a planted change. The
rates stand with their 95 % intervals (Clopper and Pearson 1934). The tests assert the same on counts, on fewer trials.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from scipy import stats

from refit.drift.alarms import find_persistent
from refit.drift.binning import count_blocks, make_binning
from refit.drift.comparison import Reference, ScoreProfile, compare_with_reference, make_reference
from refit.drift.profile import Profile, build_profile
from refit.policies.monitoring import DriftPolicy
from refit.records.references import ComparedModel
from refit.windows import Window

TRIALS = 200
DAY, PAST = 500, 100
LENGTHS = (1, 10, 100)
NUMBERS, CATEGORIES = 15, 5
SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01])
MISSING = 0.02
POLICY = DriftPolicy()
MODEL = ComparedModel("served", "simulated")
START = datetime(2026, 1, 1, tzinfo=UTC)

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Move = Callable[[np.random.Generator, int, int], Floats]


def wandering(rng: np.random.Generator, days: int, width: int) -> Floats:
    """An AR(1) process of standard deviation 0.2 that forgets half in ten days."""
    memory = 0.5**0.1
    path = rng.normal(size=(days, width))
    for day in range(1, days):
        path[day] = memory * path[day - 1] + np.sqrt(1 - memory**2) * path[day]
    return 0.2 * path


def weekly(rng: np.random.Generator, days: int, width: int) -> Floats:
    """Two days in seven lie 0.6 apart, to either side."""
    weekend = (np.arange(days) + rng.integers(7)) % 7 >= 5
    return 0.6 * weekend[:, None] * np.sign(rng.normal(size=width))


MOVES: dict[str, Move] = {
    "unmoved": lambda _, days, width: np.zeros((days, width)),
    "daily effects": lambda rng, days, width: 0.3 * rng.normal(size=(days, width)),
    "block effects": lambda rng, days, width: 0.2 * np.repeat(rng.normal(size=(days // 10 + 1, width)), 10, 0)[:days],
    "wandering": wandering,
    "weekly cycle": weekly,
}
"""Means of numbers (in standard deviations) and log shares of categories, day by day."""

PLANTED = ("missing + 10 points", "total variation 0.1", "mean + 0.2 sd", "scale x 1.25", "correlation 0.6")


@dataclass(frozen=True, slots=True)
class World:
    """The paths of all columns, and a generator of rows."""

    rng: np.random.Generator
    means: Floats
    logits: Floats

    def rows(self, first: int, days: int, planted: str = "") -> pa.Table:
        """Draws the rows of some days; a change hits the first column of its kind, the correlation the first two."""
        at = np.repeat(np.arange(first, first + days), DAY)
        z = self.rng.normal(size=(len(at), NUMBERS))
        z[:, 3] = 0.7 * z[:, 2] + np.sqrt(1 - 0.7**2) * z[:, 3]
        if planted == PLANTED[4]:
            z[:, 1] = 0.6 * z[:, 0] + 0.8 * z[:, 1]
        z[:, 0] = z[:, 0] * (1.25 if planted == PLANTED[3] else 1) + (0.2 if planted == PLANTED[2] else 0)
        z += self.means[at]
        score = z[:, 0] + 0.5 * z[:, 1] - 0.3 * z[:, 2]
        z[self.rng.random(z.shape) < MISSING] = np.nan
        if planted == PLANTED[0]:
            z[self.rng.random(len(at)) < 0.1 / (1 - MISSING), 0] = np.nan
        numbers = {f"number_{place:02}": z[:, place] for place in range(NUMBERS)}
        texts = {f"text_{place}": self._texts(at, place, planted) for place in range(CATEGORIES)}
        return pa.table({**numbers, **texts, "prediction": score, "at": np.arange(len(at)) + first * DAY})

    def _texts(self, at: np.ndarray, place: int, planted: str) -> pa.Array:
        shares = SHARES * np.exp(self.logits[:, place])
        until = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)[at]
        codes = (self.rng.random((len(at), 1)) > until[:, :-1]).sum(axis=1).astype(np.int8)
        if planted == PLANTED[1] and not place:
            common = (codes == 0) & (self.rng.random(len(at)) < 0.1 / SHARES[0])
            codes[common] = self.rng.integers(1, len(SHARES), int(common.sum()))
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=self.rng.random(len(at)) < MISSING), list("abcdefg"))


def world(move: str, trial: int) -> World:
    """Draws how the days of one trial move."""
    rng = np.random.default_rng([trial, list(MOVES).index(move)])
    days = PAST + 2 * max(LENGTHS)
    logits = MOVES[move](rng, days, CATEGORIES * len(SHARES)).reshape(days, CATEGORIES, len(SHARES))
    return World(rng, MOVES[move](rng, days, NUMBERS), logits)


def referred(rows: pa.Table) -> Reference:
    """Profiles the reference, as training does."""
    times, features = rows["at"].to_numpy(), rows.column_names[:-2]
    sides = [
        build_profile([rows], make_binning(rows, names, times, count_blocks(len(times))), "at")
        for names in (features, ["prediction"])
    ]
    return make_reference(sides[0], ScoreProfile(sides[1], MODEL), 0)


def alarmed(reference: Reference, windows: list[pa.Table]) -> bool:
    """Tells whether the last of neighbouring windows raises an alarm."""
    found = []
    for place, rows in enumerate(windows):
        span = Window(START + timedelta(days=place), START + timedelta(days=place + 1))
        data = _current(reference.data, rows)
        scores = ScoreProfile(_current(reference.scores.profile, rows), MODEL) if reference.scores else None
        found.append(compare_with_reference(reference, data, scores, span, POLICY))
    return bool(find_persistent(found, POLICY))


def _current(reference: Profile, rows: pa.Table) -> Profile:
    return build_profile([rows], reference.current_binning(), "at")


def without_drift(move: str, trial: int) -> list[bool]:
    """Judges the second of two windows after a reference, at each length."""
    drawn = world(move, trial)
    reference = referred(drawn.rows(0, PAST))
    return [alarmed(reference, [drawn.rows(PAST + k * days, days) for k in (0, 1)]) for days in LENGTHS]


def with_drift(move: str, trial: int) -> list[bool]:
    """Judges two windows of 10 days with each planted change."""
    drawn = world(move, trial)
    reference = referred(drawn.rows(0, PAST))
    return [alarmed(reference, [drawn.rows(PAST + k * 10, 10, change) for k in (0, 1)]) for change in PLANTED]


def _rates(pool: ProcessPoolExecutor, judge: Callable[[str, int], list[bool]], move: str) -> list[str]:
    fired = np.array(list(pool.map(judge, [move] * TRIALS, range(TRIALS)))).sum(axis=0).tolist()
    intervals = [stats.binomtest(hits, TRIALS).proportion_ci() for hits in fired]
    return [
        f"{hits}/{TRIALS} = {hits / TRIALS:.1%} ({interval.low:.1%} to {interval.high:.1%})"
        for hits, interval in zip(fired, intervals, strict=True)
    ]


def main() -> None:
    """Prints the rates of false alarms, then those of found changes."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for move in MOVES:
            for days, rate in zip(LENGTHS, _rates(pool, without_drift, move), strict=True):
                print(f"{move}, windows of {days * DAY:,}: {rate} alarm without drift, 1 % may")
        for move in ("unmoved", "wandering"):
            for change, rate in zip(PLANTED, _rates(pool, with_drift, move), strict=True):
                print(f"{move}, {change}, windows of 5,000: {rate} found within two windows, 95 % must")


if __name__ == "__main__":
    main()
