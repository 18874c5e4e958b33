"""Realised performance: the champion's score on mature rows, and the test for a drop below the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.data.split import MIN_BLOCKS
from refit.gate.evaluations import Evaluation
from refit.modelling.paired_difference import compare_blocks
from refit.modelling.predictions import Predictions
from refit.modelling.scoring import loss, primary_metric
from refit.monitoring.evidence import Estimate, Performance
from refit.monitoring.label_correction import RealisedScore, score_with_missing_labels
from refit.monitoring.label_maturity import MatureWindow
from refit.policies.monitoring import PerformancePolicy
from refit.project import Project
from refit.windows import format_window

OUTSIDE = 0.05
"""The probability that a 95 % interval misses the true value."""
ROUNDING = 1e-12
"""The share of a score below which a spread is rounding."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The score to compare with: the best holdout score that any champion was promoted with."""

    metric: str
    evaluation: Evaluation
    among: int
    """The number of champions it is the best of; the more, the more of it is luck."""


def best_baseline(metric: str, evaluations: Iterable[tuple[str, Evaluation]]) -> Baseline | None:
    """Selects the best score that a champion was promoted with. A worse champion never resets it.

    Args:
        metric: The scorer's name.
        evaluations: For each champion of the project, the metric it was judged by and its scores.

    Returns:
        The baseline; `None` if no champion was judged by that metric.
    """
    same = [found for name, found in evaluations if name == metric and math.isfinite(found.value)]
    return Baseline(metric, max(same, key=lambda found: found.value), len(same)) if same else None


def measure_score(
    definition: Project,
    mature: MatureWindow,
    predictions: Predictions,
    truth: pd.Series,
    times: pd.Series[pd.Timestamp],
    against: Baseline | None,
    estimate: Estimate | None = None,
) -> Performance:
    """Scores a mature window, and tests for a drop below the baseline.

    If labels are missing, the score is corrected in two ways (`refit.monitoring.label_correction`). It is their mean,
    and the interval covers both; if they differ by more than the tolerance, the score is withheld.

    Args:
        definition: The project.
        mature: The window from `find_mature_window`.
        predictions: The champion's predictions of all its rows, with or without a label.
        truth: Their labels, missing where they have not arrived.
        times: Their event times, sorted.
        against: The baseline; `None` if there is none.
        estimate: The estimate for the current window, which is passed on.

    Returns:
        The score, its interval and the test; or the reason for which the score is withheld.

    Raises:
        ModelError: If the champion cannot predict these rows.
    """
    policy = definition.monitoring.performance or PerformancePolicy()
    metric = primary_metric(definition, predictions.labels)
    realised = _missing_labels(mature, policy) or score_with_missing_labels(metric, predictions, truth, times)
    found = realised if isinstance(realised, RealisedScore) else None
    change, chance, dropped = None, None, False
    if found and against:
        change = found.value - against.evaluation.value
        chance = drop_p_value(found.value, found.blocks, against)
        dropped = _is_drop(change, chance, against, policy)
    return Performance(
        metric=metric,
        window=mature.window,
        rows=mature.rows,
        rows_mature=mature.labelled,
        reference=against.evaluation.value if against else None,
        current=found.value if found else None,
        interval=_interval(metric, found) if found else None,
        change=change,
        p_value=chance,
        dropped=dropped,
        withheld=realised if isinstance(realised, str) else None,
        estimate=estimate,
    )


def drop_p_value(current: float, in_blocks: npt.NDArray[np.float64], against: Baseline) -> float | None:
    """Returns the p-value of a score at least this far below the baseline.

    One-sided Welch's test on batch means (Welch 1947; batch means as in
    `refit.modelling.paired_difference.compare_blocks`). The baseline is the best of several scores, which is partly
    luck, so the p-value is corrected for their number: 1 - (1 - p) ** among (Sidak 1967).

    Args:
        current: The score.
        in_blocks: The scores in blocks of time.
        against: The baseline.

    Returns:
        The p-value, 0 to 1; `None` if either has fewer than five blocks with a score.
    """
    former = np.asarray(against.evaluation.blocks)
    former = former[np.isfinite(former)]
    if min(len(former), len(in_blocks)) < MIN_BLOCKS:
        return None
    parts = [float(each.var(ddof=1)) / len(each) for each in (former, in_blocks)]
    behind = current - against.evaluation.value
    if math.sqrt(sum(parts)) <= ROUNDING * abs(against.evaluation.value):
        return 0.0 if behind < 0 else 1.0
    counts = (len(former), len(in_blocks))
    degrees = sum(parts) ** 2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    alone = float(stats.t.cdf(behind / math.sqrt(sum(parts)), degrees))
    return -math.expm1(against.among * math.log1p(-alone)) if alone < 1 else 1.0


def _missing_labels(mature: MatureWindow, policy: PerformancePolicy) -> str | None:
    rows = f"of the {mature.rows:,} mature rows from {format_window(mature.window)}"
    if mature.coverage < policy.min_coverage:
        return (
            f"{mature.coverage:.1%} {rows} have a label, at least {policy.min_coverage:.1%} are required: "
            f"add labels with `refit labels`, or set the project's label_delay to the real delay"
        )
    if mature.labelled < policy.min_rows:
        return (
            f"{mature.labelled:,} {rows} have a label, at least {policy.min_rows:,} are required: "
            f"wait for labels, or set a longer monitoring.window"
        )
    return None


def _is_drop(change: float, chance: float | None, against: Baseline, policy: PerformancePolicy) -> bool:
    """Tells whether a drop is significant, and large as a share of the baseline's loss."""
    if chance is None or chance >= policy.significance:
        return False
    return -change >= policy.drop * loss(against.metric, against.evaluation.value)


def _interval(metric: str, found: RealisedScore) -> tuple[float, float] | None:
    """Returns Student's interval over batch means around both corrected scores, capped at the best possible score."""
    if len(found.blocks) < MIN_BLOCKS:
        return None
    half, best = compare_blocks(found.blocks).margin(OUTSIDE / 2), 0.0 if metric.startswith("neg_") else 1.0
    return found.low - half, min(found.high + half, best)
