"""Benefit probe: the gain of a small model fitted on newer rows over an equally small twin of the champion.

Labels tell more than distances between inputs, and a small fit is cheap. Both models are fitted on samples of at most
the same size, so that with many rows the comparison is about which rows they have seen, not how many. The value of more
rows only shows in larger models; those are fitted when the history has grown several-fold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from refit.data.split import fine_blocks
from refit.modelling.paired_difference import (
    PairedDifference,
    block_means,
    combine_blocks,
    compare_contributions,
    score_of,
)
from refit.modelling.scoring import loss, primary_metric
from refit.modelling.training_window import choose_candidate
from refit.modelling.trials import Scores, contribute_trial, sample_paired
from refit.monitoring.evidence import Probe
from refit.policies.monitoring import ProbePolicy
from refit.project import Project
from refit.records.contributions import Contributions
from refit.windows import Window

MIN_ROWS = 100
"""With fewer judged rows, five blocks of time are too small for a test."""
MOST_ROWS = 100_000
"""The most rows of history for a probe, and for its large models. If a longer history is sampled down to this number,
no large models are fitted: in a sample, growth would seem worth more than it is."""
SPANS = (4, 1)
"""Fresh models are fitted on all history, and on these numbers of windows before the judged rows."""
_FOLDS = 2
_GROUPS = 10
"""Groups of neighbouring blocks that take turns in choosing and judging: neighbours share what is luck."""
_FEWEST = 2
"""The fewest blocks that choose the fresh model. A wrong choice only costs power, since other blocks judge it."""


def probe_benefit(
    definition: Project, history: pd.DataFrame, champion: Window, judge: Window, policy: ProbePolicy
) -> Probe | str:
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
        The gain and its standard error over blocks of time, with `seconds` 0; or why there is none, in a clause: the
        champion has seen most of the window, too few rows are left to judge or to fit on, or the metric is undefined.
    """
    judged = _second_half(definition, history, Window(max(judge.start, min(champion.end, judge.end)), judge.end))
    if len(judged) < MIN_ROWS:
        return f"too few new mature rows are left to judge on, at least {MIN_ROWS} are required"
    metric = primary_metric(definition, history[definition.target].unique())
    start = _as_datetime(judged[definition.timestamp].iloc[0])
    known = history[history[definition.timestamp] < start - definition.label_delay]
    seen = known[champion.holds(known[definition.timestamp])]
    if len(seen) < MIN_ROWS:
        return f"only {len(seen):,} labelled rows of the champion's training are left, {MIN_ROWS} are required"
    most = MOST_ROWS if _has_grown(definition, history, judge, len(seen), policy) else policy.rows
    candidates, seed = (seen, *_candidates(definition, known, judge, start)), definition.training.seed
    rows = [sample_paired(each, most, history.index, seed) for each in candidates]
    parts = fine_blocks(judged[definition.timestamp])
    twin, *fresh = [contribute_trial(definition, metric, each, judged, parts) for each in rows]
    sizes = (len(rows[0]), max(len(each) for each in rows[1:]))
    found = compare_with_twin(twin, fresh)
    if isinstance(found, str):
        return found
    return Probe(
        metric=metric,
        window=Window(start, judge.end),
        rows=len(judged),
        fitted=sizes,
        loss=loss(metric, found[0]),
        gain=found[1].mean,
        error=found[1].error,
        blocks=1 + math.floor(found[1].freedom),
        seconds=0.0,
    )


def compare_with_twin(
    twin: Contributions | str, fresh: Sequence[Contributions | str]
) -> tuple[float, PairedDifference] | str:
    """Computes the gain of fresh models over the champion's twin.

    Args:
        twin: The contributions to the twin's score, or why it has none.
        fresh: Those to the scores of the fresh models, the longest window first.

    Returns:
        The twin's score, and the difference of the fresh models and the twin; or why there is none, in a clause.
    """
    if isinstance(twin, str):
        return twin
    fitted = [each for each in fresh if not isinstance(each, str)]
    if not fitted:
        return str(fresh[0])
    chosen = choose_crossed(np.array([block_means(each) for each in fitted]))
    found = compare_contributions(combine_blocks(fitted, chosen), twin)
    return (score_of(twin), found) if found.decidable else "the rows to judge on have too few distinct event times"


def choose_crossed(fresh: Scores) -> list[int]:
    """Chooses for each block the fresh model that is best on the other half of the rows, in turns of a tenth.

    Args:
        fresh: The scores of the fresh models in each block, one row for each, the longest window first.

    Returns:
        The position of the model for each block.

    Example:
        >>> choose_crossed(np.array([[0.0] * 10, [1.0] * 10]))
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    count = fresh.shape[1]
    folds = np.arange(count) * min(_GROUPS, count) // count % _FOLDS
    best = [choose_candidate(fresh[:, folds != fold], _FEWEST) for fold in range(_FOLDS)]
    return [best[fold] for fold in folds]


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
