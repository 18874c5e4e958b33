"""The champion's realised score on mature rows, and whether it has dropped from what a champion was promoted with."""

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
from refit.gate.paired_tests import margin
from refit.modelling.predictions import Predictions
from refit.modelling.scoring import loss, primary_metric
from refit.monitoring.evidence import Estimate, Performance
from refit.monitoring.label_correction import RealisedScore, score_with_missing_labels
from refit.monitoring.label_maturity import MatureWindow
from refit.policies.monitoring import PerformancePolicy
from refit.project import Project

OUTSIDE = 0.05
"""The chance that a 95 % interval misses."""
ROUNDING = 1e-12
"""The share of a score below which a spread is that of the arithmetic."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the score is held against: the best holdout score that any champion was promoted with."""

    metric: str
    evaluation: Evaluation
    among: int
    """Of how many it is the best; the more, the more of it is luck."""


def best_baseline(metric: str, evaluations: Iterable[tuple[str, Evaluation]]) -> Baseline | None:
    """Picks the best score that a champion was promoted with. A worse champion never resets it.

    Args:
        metric: The scorer's name.
        evaluations: For each champion the project has had, the metric it was judged by, and its scores.

    Returns:
        The best one; `None` where no champion was judged by that metric.
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
    """Scores a mature window and tests for a drop.

    Where labels are missing, the score is corrected in two ways (`refit.monitoring.label_correction`). Their middle is
    given, with both in the interval; where they lie further apart than a point, it is withheld.

    Args:
        definition: The project.
        mature: The window that `find_mature_window` picked.
        predictions: What the champion says of all its rows, with a label or without.
        truth: Their labels, missing where they have not arrived.
        times: Their event times, sorted.
        against: The champions' best score.
        estimate: For the current window, passed on.

    Returns:
        The score, its interval and the test; or why there is none.

    Raises:
        ModelError: If the champion cannot predict these rows.
    """
    policy = definition.monitoring.performance or PerformancePolicy()
    metric = primary_metric(definition, predictions.labels)
    answer = _too_little(mature, policy) or score_with_missing_labels(metric, predictions, truth, times)
    found = answer if isinstance(answer, RealisedScore) else None
    change, chance, dropped = None, None, False
    if found and against:
        change = found.value - against.evaluation.value
        chance = drop_p_value(found.value, found.blocks, against)
        dropped = _dropped(change, chance, against, policy)
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
        withheld=answer if isinstance(answer, str) else None,
        estimate=estimate,
    )


def drop_p_value(current: float, in_blocks: npt.NDArray[np.float64], against: Baseline) -> float | None:
    """Gives the chance of a score at least this far below the baseline's without a drop.

    Welch's test on batch means (Welch 1947; batch means as in `refit.gate.paired_tests.margin`), one-sided. The
    baseline is
    the best of several, and part of that is luck; so it is held against each of them: 1 - (1 - p) ** among (Sidak
    1967).

    Args:
        current: The score.
        in_blocks: The same in blocks of time.
        against: The baseline.

    Returns:
        The p-value; `None` where one of both has fewer than five blocks with a score.
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
    freedom = sum(parts) ** 2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    alone = float(stats.t.cdf(behind / math.sqrt(sum(parts)), freedom))
    return -math.expm1(against.among * math.log1p(-alone)) if alone < 1 else 1.0


def _too_little(mature: MatureWindow, policy: PerformancePolicy) -> str | None:
    where = f"of the {mature.rows:,} rows in {mature.window}, whose label delay has passed,"
    if mature.coverage < policy.min_coverage:
        return (
            f"{where} {mature.coverage:.1%} have a label, and at least {policy.min_coverage:.1%} are asked for: "
            f"bring the labels with `refit labels`, or give the project the label_delay that they really have"
        )
    if mature.labelled < policy.min_rows:
        return (
            f"{where} {mature.labelled:,} have a label, and at least {policy.min_rows:,} are asked for: "
            f"wait, or give the project a longer monitoring.window"
        )
    return None


def _dropped(change: float, chance: float | None, against: Baseline, policy: PerformancePolicy) -> bool:
    """A drop is significant, and large as a share of the baseline's loss: what falls is what the loss grows by."""
    if chance is None or chance >= policy.significance:
        return False
    return -change >= policy.drop * loss(against.metric, against.evaluation.value)


def _interval(metric: str, found: RealisedScore) -> tuple[float, float] | None:
    """Student's interval over batch means around both corrections, cut off at the best score there is."""
    if len(found.blocks) < MIN_BLOCKS:
        return None
    half, best = margin(found.blocks, OUTSIDE / 2), 0.0 if metric.startswith("neg_") else 1.0
    return found.low - half, min(found.high + half, best)
