"""The benefit probe: would a small fresh model beat the champion's equally small twin on the newest mature rows?

A label tells more than any distance between inputs, and a small fit costs little. Both models are fitted on a sample of
the same size at most, so that with many rows the comparison is about which rows they have seen and not about how many.
What more rows are worth only larger models show; those are fitted when the history has grown several-fold.
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
"""On fewer judged rows five blocks of time are too small to tell anything."""
MOST_ROWS = 100_000
"""The most rows of history that a probe is made on, and that its large models are fitted on. Where a longer history is
thinned to so many, large models are not fitted: in a sample growth would seem worth more than it is."""
SPANS = (4, 1)
"""Fresh models are fitted on all history, and on the newest so many windows before the judged rows."""
_FOLDS = 2
_FEWEST = 2
"""A choice of the wrong fresh model costs only power, since it is judged on other blocks: few of them may decide it."""


def probe_benefit(
    definition: Project, history: pd.DataFrame, champion: Window, judge: Window, policy: ProbePolicy
) -> Probe | None:
    """Compares a small fresh model with the champion's equally small twin on the newest mature rows.

    The fresh models end in the middle of the newest window, so that an abrupt change at its start is in what they have
    learned, and both are judged on the rest of it. Which of them is the fresh one is chosen on every other block and
    judged on the blocks between, and the other way round: the winner's luck does not count as a gain.

    Args:
        definition: The project.
        history: Labelled rows whose labels are known now, sorted by event time.
        champion: What the champion was trained on.
        judge: The newest mature window.
        policy: For the size of the models, and when large ones are fitted as well.

    Returns:
        The gain and its standard error over batch means, `seconds` being 0; `None` where the champion has seen most of
        the window, or too few rows are left to judge or learn from.
    """
    judged = _second_half(definition, history, Window(max(judge.start, min(champion.end, judge.end)), judge.end))
    if len(judged) < MIN_ROWS:
        return None
    metric = primary_metric(definition, history[definition.target].unique())
    start = _instant(judged[definition.timestamp].iloc[0])
    known = history[history[definition.timestamp] < start - definition.label_delay]
    seen = known[champion.holds(known[definition.timestamp])]
    if len(seen) < MIN_ROWS:
        return None
    most = MOST_ROWS if _grown(definition, history, judge, len(seen), policy) else policy.rows
    candidates, seed = (seen, *_candidates(definition, known, judge, start)), definition.training.seed
    rows = [sample_paired(each, most, history.index, seed) for each in candidates]
    twin, *fresh = [score_trial(definition, metric, each, judged) for each in rows]
    sizes = (len(rows[0]), max(len(each) for each in rows[1:]))
    return _found(metric, Window(start, judge.end), len(judged), sizes, twin, np.array(fresh))


def block_gains(twin: Scores, fresh: Scores) -> Scores:
    """Takes the gain of each block with the fresh model that is the best on the other half of the blocks.

    Args:
        twin: The twin's score in each block.
        fresh: One row per fresh model, the one with the longest window first.

    Returns:
        The fresh model's score minus the twin's, per block; NaN where one of them has none.

    Example:
        >>> block_gains(np.zeros(10), np.ones((2, 10))).tolist() == [1.0] * 10
        True
    """
    gained = np.full(len(twin), math.nan)
    for fold in range(_FOLDS):
        others = fresh[:, np.arange(len(twin)) % _FOLDS != fold]
        gained[fold::_FOLDS] = (fresh[choose_candidate(others, _FEWEST)] - twin)[fold::_FOLDS]
    return gained


def _found(
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


def _grown(definition: Project, history: pd.DataFrame, judge: Window, seen: int, policy: ProbePolicy) -> bool:
    """Tells whether the history has passed a power of `growth` times the champion's rows within the newest window."""
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
    """Gives what fresh models are fitted on, the most rows first; windows with too few rows are left out."""
    times = known[definition.timestamp]
    spans = [known[times >= start - span * judge.length] for span in SPANS]
    newest = known[times >= judge.start]
    return [known, *(rows for rows in (*spans, newest) if MIN_ROWS <= len(rows) < len(known))]


def _instant(time: pd.Timestamp) -> datetime:
    moment: datetime = time.floor("us").to_pydatetime()
    return moment
