"""Online comparison of challenger and champion on labelled production rows: better, worse, or not yet known.

A shadow predicts the same rows as the champion, so the scores are paired by row, as in the gate. A canary predicts
other rows, drawn at random at the same time, so the scores are paired by block of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.data.split import MIN_BLOCKS, fine_blocks, time_blocks
from refit.gate.evaluations import Evaluation
from refit.gate.paired_tests import paired_difference
from refit.records.contributions import Contributions
from refit.records.verdicts import finite_or_none, format_score
from refit.windows import Window

Positions = npt.NDArray[np.intp]
OnlineVerdict = Literal["better", "worse", "not yet known"]
Role = Literal["shadow", "canary"]

MOST_PARTS = 10
"""The most parts of the larger arm's rows that are scored in a block: more would hardly improve their mean."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The rows that one version has predicted, sorted by time, and their scores."""

    times: pd.Series[pd.Timestamp]
    score: Callable[[slice | Positions], float]
    """Computes the primary metric over some of the rows, by position; higher is better, NaN where it is not defined."""
    contribute: Callable[[Sequence[slice]], Contributions | None] | None = None
    """Sums the rows' contributions to the metric in blocks of time; without it, scores of blocks are compared."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def whole(self) -> float:
        """The primary metric over all rows; NaN without rows."""
        return self.score(slice(0, len(self))) if len(self) else float("nan")


@dataclass(frozen=True, slots=True)
class OnlineComparison:
    """The result of comparing two arms."""

    challenger: float | None
    """The primary metric over the challenger's rows; higher is better, `None` where it is not defined."""
    champion: float | None
    """The same of the champion."""
    difference: float | None
    """Challenger minus champion, the mean over blocks of time."""
    interval: tuple[float, float] | None
    """Contains the true difference with probability 1 - significance; `None` with too few blocks."""
    blocks: int
    """How many blocks of time both have a score in."""
    verdict: OnlineVerdict
    sentence: str
    """The result, for people."""


def compare_paired(challenger: Arm, champion: Arm, significance: float, min_rows: int) -> OnlineComparison:
    """Compares two versions that have predicted the same rows.

    Args:
        challenger: The challenger's rows.
        champion: The champion's predictions of the same rows, in the same order.
        significance: The probability of finding a difference where there is none.
        min_rows: The fewest rows that are compared.

    Returns:
        The mean difference, with Student's interval over blocks of time: the two-sided form of the gate's paired test
        (`refit.modelling.paired_difference`).
    """
    parts, fine = time_blocks(challenger.times), fine_blocks(challenger.times)
    scores = [
        replace(_scores(arm, parts), contributions=arm.contribute(fine) if arm.contribute and fine else None)
        for arm in (challenger, champion)
    ]
    return _conclude(scores[0], scores[1], significance, f"{len(challenger):,} rows", len(challenger) >= min_rows)


def compare_blocked(challenger: Arm, champion: Arm, significance: float, min_rows: int) -> OnlineComparison:
    """Compares two versions that have predicted different rows at the same time, assigned at random.

    Time is cut into blocks by the rows of the smaller arm; rows of one time, such as those of one request, stay
    together. Within a block the assignment is random, and both arms share what all rows of a time have in common
    (randomised blocks: Fisher, The Design of Experiments, 1935, chapter 4), so the differences of the blocks are taken
    as independent, as batch means are (`refit.modelling.paired_difference`). Within a block the larger arm's requests
    are divided into parts of the size of the smaller arm, and the scores of at most ten parts are averaged: a score
    such as the root of a mean depends on the number of rows and requests, and neither arm may gain by that.

    Args:
        challenger: The challenger's rows.
        champion: The champion's rows.
        significance: The probability of finding a difference where there is none.
        min_rows: The fewest rows of each arm that are compared.

    Returns:
        The mean difference over the blocks, with Student's interval.
    """
    fewer, more = sorted((challenger, champion), key=len)
    parts = time_blocks(fewer.times)
    small, large = _scores(fewer, parts), _averaged_scores(fewer, more, parts)
    first, second = (small, large) if fewer is challenger else (large, small)
    told = f"{len(challenger):,} rows of its own and {len(champion):,} of the champion"
    return _conclude(first, second, significance, told, len(fewer) >= min_rows)


@dataclass(frozen=True, slots=True)
class RoleComparison:
    """The comparison of challenger and champion for one role of the challenger."""

    role: Role
    """`shadow`: both predicted the same rows; `canary`: each its own rows."""
    answered: int
    """Rows that the challenger predicted, for a shadow also the champion; each key once, with its newest prediction."""
    mature: int
    """How many of them are mature."""
    labelled: int
    """How many of the mature ones have a label."""
    metric: str | None
    """The scorer's name; `None` if nothing can be scored."""
    contest: OnlineComparison | None
    """The result; `None` if nothing can be scored."""
    withheld: str | None = None
    """Why nothing can be scored, in a sentence; `None` otherwise."""

    @property
    def share(self) -> float | None:
        """The share of the mature rows that have a label, 0 to 1; `None` without mature rows."""
        return self.labelled / self.mature if self.mature else None

    @property
    def words(self) -> str:
        """The result in a few words."""
        found = self.contest
        if found is None or found.interval is None or found.difference is None:
            return f"as a {self.role} not yet known: {self.labelled:,} of {self.mature:,} mature rows have a label"
        low, high = found.interval
        return (
            f"as a {self.role} {found.verdict}: {self.metric} {found.difference:+.3g} ({low:+.3g} to {high:+.3g}) "
            f"on {self.labelled:,} labelled rows"
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the values of one role in `refit compare --json`."""
        found = self.contest
        return {
            "answered": self.answered,
            "mature": self.mature,
            "labelled": self.labelled,
            "labelled_share": None if self.share is None else round(self.share, 6),
            "metric": self.metric,
            "challenger": found.challenger if found else None,
            "champion": found.champion if found else None,
            "difference": found.difference if found else None,
            "interval": list(found.interval) if found and found.interval else None,
            "blocks": found.blocks if found else 0,
            "verdict": found.verdict if found else "not yet known",
            "sentence": found.sentence if found else self.withheld,
        }


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What `refit compare` reports on a project's challenger and champion."""

    project: str
    as_of: datetime
    """The instant looked from, UTC."""
    window: Window
    """When the rows were predicted."""
    champion: int
    """The champion's version."""
    challenger: int
    """The challenger's version."""
    role: Role
    """The challenger's role now, by the project's policy."""
    share: float | None
    """The share of the requests that a canary answers, 0 to 1; `None` for a shadow."""
    looked_at: float
    """The share of the keys that was compared, 0 to 1: many rows are sampled."""
    met: tuple[RoleComparison, ...]
    """One comparison for each role; none before the challenger has predicted anything."""

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit compare --json`."""
        return {
            "project": self.project,
            "as_of": self.as_of.isoformat(),
            "window": {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()},
            "champion": {"version": self.champion},
            "challenger": {"version": self.challenger, "role": self.role, "share": self.share},
            "looked_at": self.looked_at,
            "comparisons": {one.role: one.as_json() for one in self.met},
        }

    @property
    def words(self) -> str:
        """The whole report in one line."""
        doing = "shadows" if self.role == "shadow" else f"answers {self.share:.0%} of the requests"
        told = "; ".join(one.words for one in self.met) or "it has not predicted any rows yet"
        return f"version {self.challenger} {doing}: {told}"


def _scores(arm: Arm, parts: Sequence[slice]) -> Evaluation:
    return Evaluation(arm.whole, tuple(map(arm.score, parts)))


def _averaged_scores(fewer: Arm, more: Arm, parts: Sequence[slice]) -> Evaluation:
    return Evaluation(
        more.whole, tuple(_mean_of_parts(more, at, size) for at, size in _matching_rows(fewer, more, parts))
    )


def _matching_rows(fewer: Arm, more: Arm, parts: Sequence[slice]) -> Iterator[tuple[Positions, int]]:
    """Yields the larger arm's rows in each block of time, and the number of the smaller arm's."""
    if not parts:
        return
    starts = [fewer.times.iloc[part.start] for part in parts]
    edges = [*more.times.searchsorted(pd.Series(starts)), more.times.searchsorted(fewer.times.iloc[-1], side="right")]
    for part, (start, stop) in zip(parts, pairwise(edges), strict=True):
        yield np.arange(start, stop), part.stop - part.start


def _mean_of_parts(arm: Arm, at: Positions, size: int) -> float:
    if not len(at):
        return float("nan")
    count = max(1, round(len(at) / size))
    part_of_row = np.cumsum(~arm.times.iloc[at].duplicated().to_numpy()) % count
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_PARTS)).astype(int))
    found = np.array([arm.score(at[part_of_row == place]) for place in places if (part_of_row == place).any()])
    return float(found[np.isfinite(found)].mean()) if np.isfinite(found).any() else float("nan")


def _conclude(
    challenger: Evaluation, champion: Evaluation, significance: float, told: str, enough: bool
) -> OnlineComparison:
    pairs = paired_difference(challenger, champion)
    scores = finite_or_none(challenger.value), finite_or_none(champion.value)
    if not enough or not pairs.decidable:
        sentence = (
            f"not enough data: {told}, and both have a score in only {pairs.count} blocks of time, not {MIN_BLOCKS}"
        )
        return OnlineComparison(*scores, None, None, pairs.count, "not yet known", sentence)
    mean, half = pairs.mean, pairs.margin(significance / 2)
    verdict: OnlineVerdict = "better" if mean > half else "worse" if mean < -half else "not yet known"
    sentence = (
        f"{format_score(challenger.value)} against the champion's {format_score(champion.value)} on {told}: {verdict} "
        f"({mean:+.3g} on average over {pairs.count} blocks of time, {mean - half:+.3g} to {mean + half:+.3g})"
    )
    return OnlineComparison(*scores, mean, (mean - half, mean + half), pairs.count, verdict, sentence)
