"""Evidence for a decision about a champion at one moment: drift, performance, benefit probe, requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from refit.gate.evaluations import Evaluation
from refit.records.drift_findings import Drift
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score estimated without labels, from the model's own confidence."""

    metric: str
    value: float
    rows: int
    """Rows of the current window, labelled or not."""


@dataclass(frozen=True, slots=True)
class Performance:
    """The champion's realised score on mature rows against its baseline. Higher is better, always."""

    metric: str
    window: Window
    """The newest mature window."""
    rows: int
    """All rows of that window, with or without a label."""
    rows_mature: int
    """How many of them have a label."""
    reference: float | None
    """The baseline: the best holdout score that any champion of the project was promoted with; a worse one never resets
    it. `None` without a score in the same metric."""
    current: float | None
    """The score, corrected for missing labels; `None` if it is withheld."""
    interval: tuple[float, float] | None
    """The 95 % interval of `current` over blocks of time; `None` with too few blocks."""
    change: float | None
    """`current` minus `reference`; `None` without either."""
    p_value: float | None
    """The one-sided p-value of the drop; `None` if it was not tested."""
    dropped: bool
    """Whether the drop is significant and at least as large as the policy asks."""
    withheld: str | None
    """Why there is no score, in a sentence; `None` with a score."""
    estimate: Estimate | None
    """The estimate for the current window; `None` if the model gives no probabilities."""

    @property
    def coverage(self) -> float:
        """The share of the window's rows that have a label, 0 to 1; 0 for an empty window."""
        return self.rows_mature / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The gain of a small fresh model over the champion's equally small twin on the newest mature rows."""

    metric: str
    window: Window
    """The event times of the judged rows."""
    rows: int
    """How many rows were judged."""
    fitted: tuple[int, int]
    """The rows that the twin was fitted on, and the most that a fresh model was fitted on."""
    loss: float
    """The twin's loss, in the metric's unit."""
    gain: float
    """The twin's loss minus the fresh model's, in the metric's unit; positive favours a retrain."""
    error: float
    """The standard error of `gain` over blocks of time."""
    blocks: int
    """How many independent blocks of time the standard error rests on: its degrees of freedom plus one."""
    seconds: float
    """How long the probe took; it uses budget."""

    @property
    def share(self) -> float:
        """The gain as a share of the loss, at most 1; 0 without a loss."""
        return self.gain / self.loss if self.loss > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FormerComparison:
    """The scores of the champion and the former one on mature rows that neither was trained on."""

    metric: str
    look: int
    """The number of this look, from 1: one for each monitoring window that has matured since the training."""
    window: Window
    """The event times of the rows."""
    rows: int
    """How many of the rows have a label."""
    former_version: int
    champion: Evaluation
    former: Evaluation


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A request for a retrain from outside the monitor, by a person or an event."""

    by: Literal["manual", "event"]
    reason: str
    force: bool = False
    """Whether to override the budget as well; only a person may."""
    who: str = ""
    """The person who made it; empty if unknown."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence about a champion at one moment. A part is `None` if it is switched off or could not be measured."""

    project: str
    as_of: datetime
    """The moment, UTC."""
    generation: int
    """The champion's generation; 0 without a champion."""
    window: Window
    """The current window."""
    length: timedelta
    """The length of a monitoring window: the unit of cooldown, budget and persistence."""
    rows: int
    """Rows of the current window."""
    table_version: int
    trained_until: datetime | None
    """Just after the newest row that the champion was trained on, UTC; `None` without a champion."""
    new_rows: int
    """The number of newer rows."""
    mature_until: datetime | None
    """Just after the newest mature row, UTC; `None` without mature rows."""
    growth: float | None = None
    """The mature rows divided by those that are older than the champion's newest, at least 1; `None` without a champion
    or if it was not counted, as in former releases."""
    drift: Drift | None = None
    performance: Performance | None = None
    probe: Probe | None = None
    request: RetrainRequest | None = None
    under_way: bool = False
    """Whether a retrain of the project is running on this machine."""
    withheld: tuple[str, ...] = ()
    """Why a part could not be measured, one sentence each."""
    watched: FormerComparison | None = None
    """The comparison with the former champion; `None` without a former champion, or before a window has matured."""
    unprobed: str = ""
    """Why the benefit probe found no gain to test, in a clause; empty where it ran or was not due."""
