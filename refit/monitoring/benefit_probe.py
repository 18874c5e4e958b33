"""Benefit probe: the gain of a small model fitted on newer rows over an equally small twin of the champion.

Labels tell more than distances between inputs, and a small fit is cheap. Both models are fitted on samples of at most
the same size, so that with many rows the comparison is about which rows they have seen, not how many. The value of more
rows only shows in larger models; those are fitted when the history has grown several-fold.
"""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pandas as pd

from refit.data.split import MIN_BLOCKS
from refit.modelling.scoring import loss, primary_metric
from refit.modelling.training_window import choose_candidate
from refit.modelling.trials import Scores, sample_paired, score_trial
from refit.monitoring.evidence import Probe
from refit.policies.monitoring import ProbePolicy
from refit.project import Project
from refit.windows import Window

MIN_ROWS = 100
"""With fewer judged rows, five blocks of time are too small for a test."""
MOST_ROWS = 100_000
"""The most rows of history for a probe, and for its large models. If a longer history is sampled down to this number,
no large models are fitted: in a sample, growth would seem worth more than it is."""
SPANS = (4, 1)
"""Fresh models are fitted on all history, and on these numbers of windows before the judged rows."""
_FOLDS = 2
_FEWEST = 2
"""The fewest blocks that choose the fresh model. A wrong choice only costs power, since other blocks judge it."""


def probe_benefit(
    definition: Project, history: pd.DataFrame, champion: Window, judge: Window, policy: ProbePolicy
) -> Probe | None:
    """Compares a small fresh model with the champion's equally small twin on the newest mature rows.

    The fresh models are fitted up to the middle of the newest window, so that they have learned an abrupt change at its
    start, and all models are judged on the rest. The best fresh model is chosen on every other block and judged on the
    blocks between, and vice versa, so that the luck of the winner does not count as a gain.

    Args:
        definition: The project.
        history: Rows with labels that are known now, sorted by event time.
        champion: The window that the champion was trained on.
        judge: The newest mature window.
        policy: For the size of the models, and for when large ones are fitted as well.

    Returns:
        The gain and its standard error over batch means, with `seconds` 0; `None` if the champion has seen most of the
        window, or too few rows are left to judge or to fit on.
    """
    judged = _second_half(definition, history, Window(max(judge.start, min(champion.end, judge.end)), judge.end))
    if len(judged) < MIN_ROWS:
        return None
    metric = primary_metric(definition, history[definition.target].unique())
    start = _as_datetime(judged[definition.timestamp].iloc[0])
    known = history[history[definition.timestamp] < start - definition.label_delay]
    seen = known[champion.holds(known[definition.timestamp])]
    if len(seen) < MIN_ROWS:
        return None
    most = MOST_ROWS if _has_grown(definition, history, judge, len(seen), policy) else policy.rows
    candidates, seed = (seen, *_candidates(definition, known, judge, start)), definition.training.seed
    rows = [sample_paired(each, most, history.index, seed) for each in candidates]
    twin, *fresh = [score_trial(definition, metric, each, judged) for each in rows]
    sizes = (len(rows[0]), max(len(each) for each in rows[1:]))
    return _summarize(metric, Window(start, judge.end), len(judged), sizes, twin, np.array(fresh))


def block_gains(twin: Scores, fresh: Scores) -> Scores:
    """Computes the gain in each block, with the fresh model that is best on the other half of the blocks.

    Args:
        twin: The twin's score in each block.
        fresh: The scores of the fresh models, one row for each, the longest window first.

    Returns:
        The fresh model's score minus the twin's for each block; NaN where either is not defined.

    Example:
        >>> block_gains(np.zeros(10), np.ones((2, 10))).tolist() == [1.0] * 10
        True
    """
    gained = np.full(len(twin), math.nan)
    for fold in range(_FOLDS):
        others = fresh[:, np.arange(len(twin)) % _FOLDS != fold]
        gained[fold::_FOLDS] = (fresh[choose_candidate(others, _FEWEST)] - twin)[fold::_FOLDS]
    return gained


def _summarize(
    metric: str, window: Window, rows: int, fitted: tuple[int, int], twin: Scores, fresh: Scores
) -> Probe | None:
    gained = block_gains(twin, fresh)
    defined = np.isfinite(gained)
    if defined.sum() < MIN_BLOCKS:
        return None
    within = gained[defined]
    return Probe(
        metric=metric,
        window=window,
        rows=rows,
        fitted=fitted,
        loss=loss(metric, float(twin[defined].mean())),
        gain=float(within.mean()),
        error=float(within.std(ddof=1) / math.sqrt(len(within))),
        blocks=len(within),
        seconds=0.0,
    )


def _has_grown(definition: Project, history: pd.DataFrame, judge: Window, seen: int, policy: ProbePolicy) -> bool:
    """Tells whether the history has passed a power of `growth`, times the champion's rows, within the newest window."""
    if policy.growth is None or len(history) >= MOST_ROWS:
        return False
    before = int((history[definition.timestamp] < judge.start).sum())
    powers = [math.floor(math.log(max(1.0, rows / seen), policy.growth)) for rows in (before, len(history))]
    return powers[1] > powers[0]


def _second_half(definition: Project, history: pd.DataFrame, window: Window) -> pd.DataFrame:
    inside = history[window.holds(history[definition.timestamp])]
    if len(inside) < MIN_ROWS:
        return inside.iloc[:0]
    middle = inside[definition.timestamp].iloc[len(inside) // 2]
    newest: pd.DataFrame = inside[inside[definition.timestamp] >= middle].reset_index(drop=True)
    return newest


def _candidates(definition: Project, known: pd.DataFrame, judge: Window, start: datetime) -> list[pd.DataFrame]:
    """Returns the rows for each fresh model, the most rows first, without windows of too few rows."""
    times = known[definition.timestamp]
    spans = [known[times >= start - span * judge.length] for span in SPANS]
    newest = known[times >= judge.start]
    return [known, *(rows for rows in (*spans, newest) if MIN_ROWS <= len(rows) < len(known))]


def _as_datetime(time: pd.Timestamp) -> datetime:
    moment: datetime = time.floor("us").to_pydatetime()
    return moment
