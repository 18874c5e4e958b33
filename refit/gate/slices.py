"""Whether a challenger is worse for some of the rows while it is as good for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.data.blocks import MIN_BLOCKS
from refit.drift.alarms import holm
from refit.gate.cuts import Positions, cut
from refit.gate.evidence import Slice
from refit.modelling.predictions import Predictions
from refit.policies.gate import GatePolicy
from refit.policies.spending import SLICES
from refit.records.verdicts import Reason
from refit.records.words import number

__all__ = ["cut", "measure", "paired_losses", "row_losses", "slices_not_worse"]

Array = npt.NDArray[np.float64]

MOST_BLOCKS = 20
"""The most blocks of a slice, so that its record stays small."""
BLOCK_ROWS = 20
"""The rows a slice's block should have at least, where that leaves enough blocks."""
NONE_LARGE = "no slice has enough rows and event times to be judged by itself"


def paired_losses(one: Predictions, other: Predictions, truth: pd.Series[Any]) -> tuple[Array, Array]:
    """Gives each row's loss for two models, by the same measure for both.

    Args:
        one: A model's answers.
        other: Another's answers to the same rows.
        truth: The labels.

    Returns:
        The losses of both: by probabilities where both give them.
    """
    both = hasattr(one, "predict_proba") and hasattr(other, "predict_proba")
    return row_losses(one, truth, probabilities=both), row_losses(other, truth, probabilities=both)


def row_losses(predictions: Predictions, truth: pd.Series[Any], *, probabilities: bool = True) -> Array:
    """Gives each row's loss: the squared error of probabilities (Brier 1950), or the absolute error.

    Args:
        predictions: A model's answers.
        truth: The labels.
        probabilities: Whether probabilities are looked at where there are some.

    Returns:
        One loss a row: for classes between 0 and 2, or 0 and 1 where there are no probabilities; else in the target's
        unit.
    """
    if not predictions.labels:
        distances: Array = np.abs(predictions.all_of("predict").astype(float) - truth.to_numpy(dtype=float))
        return distances
    if not probabilities or not hasattr(predictions, "predict_proba"):
        wrong: Array = (predictions.raw("predict") != truth.to_numpy()).astype(float)
        return wrong
    said = predictions.all_of("predict_proba")
    place = pd.Index(predictions.labels, dtype=object).get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    came = np.zeros_like(said)
    known = place >= 0
    came[known, place[known]] = 1.0
    losses: Array = ((said - came) ** 2).sum(axis=1)
    return losses


def measure(
    slices: dict[str, Positions], challenger: Array, other: Array, *, times: pd.Series[Any] | None = None
) -> tuple[Slice, ...]:
    """Compares two models within each slice.

    Args:
        slices: From `cut`, of rows in the order of their event times.
        challenger: Its loss for each row.
        other: The champion's loss for each row; a trivial model's where there is no champion.
        times: The event times of the rows, which keep those of one time in one block: they err alike. Without, each row
            is taken for a time of its own.

    Returns:
        One comparison for each slice.
    """
    begins = np.ones(len(other), bool) if times is None else ~times.duplicated().to_numpy()
    moments = np.cumsum(begins)
    return tuple(_slice(name, challenger[at], other[at], moments[at]) for name, at in slices.items())


def slices_not_worse(found: tuple[Slice, ...], policy: GatePolicy, *, with_champion: bool) -> Reason:
    """Asks for a challenger that is in no slice both significantly and noticeably worse.

    A paired one-sided Student t test over blocks of the slice's own rows, corrected for their number (Holm 1979).

    Args:
        found: The comparisons; those of fewer than five blocks of time are not judged.
        policy: For the error budget and the rise of the loss that is noticeable.
        with_champion: Whether the other model is the champion, or a trivial one.

    Returns:
        One reason for all slices; its value is the largest rise of a loss as a share, among the failed ones where there
        are some: a rise above the limit passes where chance explains it.
    """
    found = tuple(one for one in found if len(one.gains) >= MIN_BLOCKS)
    if not found:
        return Reason("slices", passed=True, value=None, limit=policy.slice_loss, sentence=NONE_LARGE)
    worse = [one for one in _significant(found, SLICES * policy.significance) if _rise(one) > policy.slice_loss]
    rival = "the champion" if with_champion else "a trivial model"
    worst = max(found, key=_rise)
    if not worse:
        rises = f"the loss rises most, by {_rise(worst):+.1%}, where {worst.name}"
        sentence = (
            f"in none of {len(found)} slices significantly worse than {rival} by more than {policy.slice_loss:.0%}; "
            f"{rises if _rise(worst) > 0 else 'the loss is lower in all of them'}"
        )
        return _reason(worst, policy, sentence)
    told = "; ".join(
        f"by {_rise(one):+.1%} where {one.name} ({one.rows:,} rows)" for one in sorted(worse, key=_rise, reverse=True)
    )
    sentence = f"the loss is significantly higher than that of {rival} in {len(worse)} of {len(found)} slices: {told}"
    return _reason(max(worse, key=_rise), policy, sentence, passed=False)


def _reason(worst: Slice, policy: GatePolicy, sentence: str, *, passed: bool = True) -> Reason:
    return Reason("slices", passed, number(_rise(worst)), policy.slice_loss, sentence)


def _slice(name: str, challenger: Array, other: Array, moments: npt.NDArray[np.int_]) -> Slice:
    """Averages the gains in blocks of about as many rows, cut where a new event time begins."""
    rows = len(other)
    count = min(MOST_BLOCKS, max(MIN_BLOCKS, rows // BLOCK_ROWS))
    edges = np.append(np.flatnonzero(np.diff(moments, prepend=-1)), rows)
    wanted = np.linspace(0, rows, count + 1)
    borders = np.unique(edges[np.abs(edges[:, None] - wanted).argmin(axis=0)])
    parts = np.split(other - challenger, borders[1:-1])
    gains = tuple(float(f"{part.mean():.9g}") for part in parts)
    return Slice(name, rows, float(challenger.mean()), float(other.mean()), gains)


def _rise(one: Slice) -> float:
    if one.other <= 0:
        return 0.0 if one.challenger <= 0 else float("inf")
    return one.challenger / one.other - 1


def _significant(found: tuple[Slice, ...], significance: float) -> list[Slice]:
    """Picks the slices that are significantly worse, by Holm's step-down procedure."""
    certain = holm([_chance(one) for one in found], significance)
    return [one for one, sure in zip(found, certain, strict=True) if sure]


def _chance(one: Slice) -> float:
    """Gives the chance of so low a mean gain without a difference, by Student's t."""
    gains = np.asarray(one.gains)
    spread = gains.std(ddof=1) / np.sqrt(len(gains))
    if spread <= 0:
        return 0.0 if gains.mean() < 0 else 1.0
    return float(stats.t.cdf(gains.mean() / spread, len(gains) - 1))
