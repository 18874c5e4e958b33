"""The choice of the training window: all history, a fixed span, or the best of several candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.data.split import MIN_BLOCKS
from refit.modelling.scoring import primary_metric
from refit.modelling.trials import sample_rows, score_trial
from refit.project import Project
from refit.windows import Window

JUDGE_SHARE = 0.15
"""The share of the training rows, the newest, that candidates are scored on."""
JUDGE_ROWS = 1_000
"""The most rows that candidates are scored on: they cannot be trained on, and are scarce after an abrupt change."""
FIT_ROWS = 4_000
"""The most rows that a candidate is fitted on."""
HALVINGS = 6
"""The number of halvings: candidates are all rows, and the newest half, quarter and so on, down to a 64th of them.
After an abrupt change only the newest rows are useful, however long the history is."""
ERRORS = 2.0
"""The number of standard errors by which a shorter window must be better: it becomes outdated faster, and the model has
to serve for long."""
MIN_CANDIDATE_ROWS = 50
"""The fewest rows of a candidate; fewer cannot show the value of a longer window."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A window that a trial model was fitted on."""

    window: Window
    score: float | None
    """The primary metric, averaged over blocks of the newest rows; `None` if there was no model or no score."""


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """The chosen training window, and the candidates."""

    window: Window
    candidates: tuple[Candidate, ...] = ()
    """From the longest to the shortest; empty if there was no choice."""


def choose_window(definition: Project, frame: pd.DataFrame) -> WindowChoice:
    """Chooses the training window by the project's policy.

    With `auto`, trial models of the project's own estimator are fitted on windows of different lengths, each ending a
    label delay before the newest rows, and scored on those. The chosen window extends to the end of all rows.

    Args:
        definition: The project.
        frame: The rows available for training, all labelled.

    Returns:
        The window, and the score of each candidate.

    Raises:
        ProjectError: If the gate's metric is unknown.
    """
    policy = definition.training.window
    frame = frame.sort_values(definition.timestamp, kind="stable", ignore_index=True)
    times = frame[definition.timestamp]
    everything = Window(_instant(times.iloc[0]), _instant(times.iloc[-1]) + timedelta(microseconds=1))
    if isinstance(policy, timedelta):
        return WindowChoice(Window(max(everything.start, everything.end - policy), everything.end))
    return _choose_by_trials(definition, frame, everything) if policy == "auto" else WindowChoice(everything)


def candidate_windows(everything: Window, times: pd.Series[pd.Timestamp], min_rows: int) -> list[Window]:
    """Lists the candidate windows: all rows, and the newest half, quarter and so on.

    Args:
        everything: The window of all rows.
        times: Event times of the rows that candidates can be fitted on, sorted.
        min_rows: The fewest rows of a candidate.

    Returns:
        From the longest to the shortest, with different starts and the end of `everything`.
    """
    counts = [len(times) >> halving for halving in range(1, HALVINGS + 1)]
    starts = [_instant(times.iloc[-count]) for count in counts if count >= min_rows]
    return [Window(start, everything.end) for start in sorted({everything.start, *starts})]


def choose_candidate(scores: npt.NDArray[np.float64], least: int = MIN_BLOCKS) -> int:
    """Picks the longest window that is at most some standard errors worse than the best.

    The standard error is that of the mean of paired block differences (the one-standard-error rule of Breiman et al.
    1984, Classification and Regression Trees, 3.4.3, with pairing, and with `ERRORS` of them).

    Args:
        scores: One row per window, the longest first, one column per block; higher is better. A row of NaN is a window
            without a model; blocks in which a model has no score are left out.
        least: The fewest blocks that a choice may rest on.

    Returns:
        The row of the chosen window; the first one if there are too few blocks.

    Example:
        >>> all_history = [0.5, 0.7, 0.6, 0.6, 0.5]
        >>> choose_candidate(np.array([all_history, [0.6, 0.6, 0.7, 0.5, 0.6]]))
        0
        >>> choose_candidate(np.array([all_history, [0.6, 0.8, 0.7, 0.7, 0.7]]))
        1
    """
    fitted = np.flatnonzero(~np.isnan(scores).all(axis=1))
    paired = scores[fitted][:, ~np.isnan(scores[fitted]).any(axis=0)]
    count = paired.shape[1]
    if not len(fitted) or count < least:
        return 0
    behind = paired[paired.mean(axis=1).argmax()] - paired
    within = behind.mean(axis=1) <= ERRORS * behind.std(axis=1, ddof=1) / math.sqrt(count)
    return int(fitted[within.argmax()])


def _choose_by_trials(definition: Project, frame: pd.DataFrame, everything: Window) -> WindowChoice:
    past, judge = _split_by_time(definition, frame)
    min_rows = max(definition.training.min_rows, MIN_CANDIDATE_ROWS)
    windows = candidate_windows(everything, past[definition.timestamp], min_rows)
    if len(windows) == 1 or len(judge) < MIN_CANDIDATE_ROWS:
        return WindowChoice(everything)
    metric, seed = primary_metric(definition, frame[definition.target].unique()), definition.training.seed
    inside = [past[window.holds(past[definition.timestamp])] for window in windows]
    scores = [score_trial(definition, metric, sample_rows(rows, FIT_ROWS, seed), judge) for rows in inside]
    candidates = [Candidate(window, _mean(each.tolist())) for window, each in zip(windows, scores, strict=True)]
    return WindowChoice(windows[choose_candidate(np.array(scores))], tuple(candidates))


def _split_by_time(definition: Project, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    times = frame[definition.timestamp]
    first = times.iloc[-max(1, min(JUDGE_ROWS, round(JUDGE_SHARE * len(times))))]
    return frame[times < first - definition.label_delay], frame[times >= first]


def _mean(scores: list[float]) -> float | None:
    defined = [value for value in scores if math.isfinite(value)]
    return fmean(defined) if defined else None


def _instant(time: pd.Timestamp) -> datetime:
    moment: datetime = time.floor("us").to_pydatetime()
    return moment
