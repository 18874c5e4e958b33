"""How a challenger does beside the champion on production rows whose labels have come: better, worse, or not yet known.

A shadow answers the same rows, so that both scores are paired by row: the gate's own test. A canary answers other rows
than the champion, drawn by chance at the same time: both are paired by time.

What `refit compare` found, in the JSON keys that other programs rely on, and in a line for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.data.split import MIN_BLOCKS, time_blocks
from refit.gate.evaluations import Evaluation
from refit.gate.paired_tests import margin, paired_differences
from refit.records.verdicts import finite_or_none, format_score
from refit.windows import Window

Positions = npt.NDArray[np.intp]
OnlineVerdict = Literal["better", "worse", "not yet known"]

MOST_PARTS = 10
"""So many parts of the larger side's rows in a block are scored at most: more would hardly sharpen their mean."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one version said of some rows, in the order of their times."""

    times: pd.Series[pd.Timestamp]
    score: Callable[[slice | Positions], float]
    """The primary metric over some of the rows, by position; higher is better, NaN where they allow none."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def whole(self) -> float:
        """The primary metric over all rows; NaN where there are none."""
        return self.score(slice(0, len(self))) if len(self) else float("nan")


@dataclass(frozen=True, slots=True)
class OnlineComparison:
    """What came of it."""

    challenger: float | None
    """The primary metric over the challenger's rows, `None` where it is not defined; higher is better."""
    champion: float | None
    """The same of the champion."""
    difference: float | None
    """Challenger minus champion, the mean over blocks of time."""
    interval: tuple[float, float] | None
    """Holds the true difference with a chance of one minus the significance; `None` where too few blocks tell."""
    blocks: int
    """In so many both have a score."""
    verdict: OnlineVerdict
    sentence: str
    """What was found, in words."""


def compare_paired(challenger: Arm, champion: Arm, significance: float, least: int) -> OnlineComparison:
    """Compares two versions that have answered the same rows.

    Args:
        challenger: What one said.
        champion: What the other said of the same rows, in the same order.
        significance: The chance that a difference is found where there is none.
        least: The fewest rows that anything is said of.

    Returns:
        The mean difference of the scores in blocks of time, with Student's interval over the blocks: the two-sided form
        of the gate's paired test (`refit.gate.paired_tests.margin`).
    """
    parts = time_blocks(challenger.times)
    scores = [Evaluation(side.whole, tuple(map(side.score, parts))) for side in (challenger, champion)]
    return _settled(scores[0], scores[1], significance, f"{len(challenger):,} rows", len(challenger) >= least)


def compare_blocked(challenger: Arm, champion: Arm, significance: float, least: int) -> OnlineComparison:
    """Compares two versions that have answered different rows at the same time, drawn by chance.

    Times are cut into blocks by the rows of whoever answered fewer; rows of one time, as of one request, stay together.
    Chance decides within each block who answered, and what all rows of a time share, both have (randomised blocks:
    Fisher, The Design of Experiments, 1935, chapter 4); so the differences of the blocks are taken for independent, as
    batch means are (`refit.gate.paired_tests.margin`). In a block the larger side's requests are dealt out to parts
    as large
    as the smaller side, and the scores of ten at most are averaged: a score such as a root of a mean depends on how
    many rows and requests there are, and neither side must gain by that.

    Args:
        challenger: What one said of its rows.
        champion: What the other said of its own.
        significance: The chance that a difference is found where there is none.
        least: The fewest rows of either that anything is said of.

    Returns:
        The mean difference over the blocks, with Student's interval.
    """
    fewer, more = sorted((challenger, champion), key=len)
    parts = time_blocks(fewer.times)
    small, large = _scores(fewer, parts), _averaged(fewer, more, parts)
    first, second = (small, large) if fewer is challenger else (large, small)
    told = f"{len(challenger):,} rows of its own and {len(champion):,} of the champion's"
    return _settled(first, second, significance, told, len(fewer) >= least)


def _scores(side: Arm, parts: Sequence[slice]) -> Evaluation:
    return Evaluation(side.whole, tuple(map(side.score, parts)))


def _averaged(fewer: Arm, more: Arm, parts: Sequence[slice]) -> Evaluation:
    return Evaluation(more.whole, tuple(_average(more, at, size) for at, size in _beside(fewer, more, parts)))


def _beside(fewer: Arm, more: Arm, parts: Sequence[slice]) -> Iterator[tuple[Positions, int]]:
    """Finds the larger side's rows in the time of each block, and how many the smaller side has there."""
    if not parts:
        return
    starts = [fewer.times.iloc[part.start] for part in parts]
    edges = [*more.times.searchsorted(pd.Series(starts)), more.times.searchsorted(fewer.times.iloc[-1], side="right")]
    for part, (start, stop) in zip(parts, pairwise(edges), strict=True):
        yield np.arange(start, stop), part.stop - part.start


def _average(side: Arm, at: Positions, size: int) -> float:
    if not len(at):
        return float("nan")
    count = max(1, round(len(at) / size))
    dealt = np.cumsum(~side.times.iloc[at].duplicated().to_numpy()) % count
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_PARTS)).astype(int))
    found = np.array([side.score(at[dealt == place]) for place in places if (dealt == place).any()])
    return float(found[np.isfinite(found)].mean()) if np.isfinite(found).any() else float("nan")


def _settled(
    challenger: Evaluation, champion: Evaluation, significance: float, told: str, enough: bool
) -> OnlineComparison:
    pairs = paired_differences(challenger, champion)
    scores = finite_or_none(challenger.value), finite_or_none(champion.value)
    if not enough or len(pairs) < MIN_BLOCKS:
        sentence = (
            f"too few to tell: {told}, and both have a score in {len(pairs)} blocks of time of {MIN_BLOCKS} at least"
        )
        return OnlineComparison(*scores, None, None, len(pairs), "not yet known", sentence)
    mean, half = float(pairs.mean()), margin(pairs, significance / 2)
    verdict: OnlineVerdict = "better" if mean > half else "worse" if mean < -half else "not yet known"
    sentence = (
        f"{format_score(challenger.value)} against the champion's {format_score(champion.value)} on {told}, {verdict} "
        f"({mean:+.3g} on average over {len(pairs)} blocks of time, {mean - half:+.3g} to {mean + half:+.3g})"
    )
    return OnlineComparison(*scores, mean, (mean - half, mean + half), len(pairs), verdict, sentence)


Role = Literal["shadow", "canary"]


@dataclass(frozen=True, slots=True)
class RoleComparison:
    """A challenger and the champion, by one way in which they met."""

    role: Role
    """`shadow`: both answered the same rows; `canary`: each its own."""
    answered: int
    """Rows that the challenger answered, and for a shadow the champion, too; each key once, by its newest answer."""
    mature: int
    """Those of them whose label delay has passed."""
    labelled: int
    """Those of the mature ones whose labels are there."""
    metric: str | None
    """The scorer's name; `None` where nothing can be scored."""
    contest: OnlineComparison | None
    """`None` where nothing can be scored."""
    withheld: str | None = None
    """Why not, in a sentence."""

    @property
    def share(self) -> float | None:
        """The share of the mature rows whose labels are there; `None` without a mature row."""
        return self.labelled / self.mature if self.mature else None

    @property
    def words(self) -> str:
        """Says what came of it in a few words."""
        found = self.contest
        if found is None or found.interval is None or found.difference is None:
            return f"as a {self.role} not yet known, {self.labelled:,} of {self.mature:,} mature rows have a label"
        low, high = found.interval
        return (
            f"as a {self.role} {found.verdict}, {self.metric} {found.difference:+.3g} ({low:+.3g} to {high:+.3g}) "
            f"on {self.labelled:,} labelled rows"
        )

    def as_json(self) -> dict[str, Any]:
        """Gives JSON values."""
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
    """How the challenger of a project does beside its champion."""

    project: str
    as_of: datetime
    """The instant looked from, UTC."""
    window: Window
    """When the rows were answered."""
    champion: int
    """Its version."""
    challenger: int
    """Its version."""
    role: Role
    """What the project's policy has it do now."""
    share: float | None
    """The share of the requests that a canary answers."""
    looked_at: float
    """The share of the keys that was looked at: of many rows some stand for all."""
    met: tuple[RoleComparison, ...]
    """The ways in which they met; none where they have not."""

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit compare --json`."""
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
        """Says all of it in a line."""
        doing = "shadows" if self.role == "shadow" else f"answers {self.share:.0%} of the requests"
        told = "; ".join(one.words for one in self.met) or "no row was answered by it yet"
        return f"version {self.challenger} {doing}: {told}"
