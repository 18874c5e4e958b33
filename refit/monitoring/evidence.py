"""All that a decision about one champion rests on, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from refit.gate.evaluations import Evaluation
from refit.records.drift_findings import Drift
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score without labels, from the model's own confidence; never a realised one."""

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
    """Rows of that window, with a label or without."""
    rows_mature: int
    """Those of them whose labels are there."""
    reference: float | None
    """The baseline: the best holdout score any champion of the project was promoted with; it is never reset by a worse
    one. `None` where there is none on the same metric."""
    current: float | None
    """The score, corrected where labels are missing; `None` where it is withheld."""
    interval: tuple[float, float] | None
    """95 % interval of `current` over blocks of time."""
    change: float | None
    """Current minus reference."""
    p_value: float | None
    """The chance of so low a score without a drop, one-sided."""
    dropped: bool
    """Whether the drop is significant and large enough."""
    withheld: str | None
    """Why no score is given; `None` where one is."""
    estimate: Estimate | None
    """For the current window, where the model gives probabilities."""

    @property
    def coverage(self) -> float:
        """The share of the window's rows whose labels are there; 0 for an empty window."""
        return self.rows_mature / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What a small fresh model gains over the champion's equally small twin on the newest mature rows."""

    metric: str
    window: Window
    """The rows both were judged on."""
    rows: int
    """How many those are."""
    fitted: tuple[int, int]
    """How many rows the twin was fitted on, and the most that a fresh model was."""
    loss: float
    """The twin's loss, in the metric's unit."""
    gain: float
    """The twin's loss minus the fresh model's; positive favours a retrain."""
    error: float
    """Standard error of `gain` over batch means."""
    blocks: int
    """How many batches those are."""
    seconds: float
    """What the probe took; it counts in the budget."""

    @property
    def share(self) -> float:
        """The gain as a share of the loss; 0 where there is no loss."""
        return self.gain / self.loss if self.loss > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FormerComparison:
    """What the champion and the former one scored on mature rows that neither has seen."""

    metric: str
    look: int
    """Which look it is, from 1; one for each monitoring window that has matured since the champion was trained."""
    window: Window
    """The event times of the rows."""
    rows: int
    """How many of them are labelled."""
    former_version: int
    champion: Evaluation
    former: Evaluation


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """Somebody or something outside asks for a retrain."""

    by: Literal["manual", "event"]
    reason: str
    force: bool = False
    """Whether budget and cooldown are to be passed over; only a person may."""
    who: str = ""
    """The person, where one is known."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a champion at one moment. A part is `None` where it was switched off or could not be had."""

    project: str
    as_of: datetime
    """The instant looked from, UTC."""
    generation: int
    """The champion's; 0 while there is none."""
    window: Window
    """The current window."""
    length: timedelta
    """How long one monitoring window is: the unit of cooldown, budget and persistence."""
    rows: int
    """Rows of the current window."""
    table_version: int
    trained_until: datetime | None
    """Just after the newest row that the champion has seen; `None` without a champion."""
    new_rows: int
    """Rows that are newer than that."""
    mature_until: datetime | None
    """Just after the newest row whose label delay has passed; `None` without such rows."""
    drift: Drift | None = None
    performance: Performance | None = None
    probe: Probe | None = None
    request: RetrainRequest | None = None
    under_way: bool = False
    """Whether a retrain of the project is running on this machine."""
    withheld: tuple[str, ...] = ()
    """Why a part could not be had, one sentence each."""
    watched: FormerComparison | None = None
    """`None` where the champion was not promoted over another one, or too little has matured since."""
