"""What a replay of a project's history showed: per policy the loss, what it cost, and what happened when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from refit.windows import Window

EventKind = Literal["retrain", "promotion", "rejection", "alert", "failure"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a policy did at the end of a window."""

    window: int
    """The number of the window at whose end it happened, from 0."""
    at: datetime
    """The instant, UTC."""
    what: EventKind
    """`retrain` is a training that the policy asked for; `promotion`, `rejection` or `failure` is what became of it."""
    sentence: str
    """Why, or with what outcome."""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How one policy did."""

    loss: float
    """The mean over the scored windows of what the serving champion lost, in the metric's unit; NaN without any."""
    relative_loss: float
    """`loss` as a share of that of never retraining; NaN where there is nothing to compare."""
    regret: float
    """The mean over windows of the loss beyond that of the best model any of the policies had by then."""
    trainings: int
    """Retrains; the first champion, which all policies share, is not counted."""
    promotions: int
    """Retrains whose challenger came to serve."""
    losses: tuple[float, ...]
    """The loss in each scored window; NaN where a window allows no score."""
    champions: tuple[int, ...]
    """The generation that served each scored window, from 1."""
    events: tuple[Event, ...]

    def as_json(self) -> dict[str, float | int | None]:
        """Gives the keys of `refit backtest --json`."""
        values = {"loss": self.loss, "relative_loss": self.relative_loss, "regret": self.regret}
        return {
            **{name: value if value == value else None for name, value in values.items()},  # noqa: PLR0124 - NaN
            "trainings": self.trainings,
            "promotions": self.promotions,
        }


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """How several policies did on the same history."""

    project: str
    metric: str
    """The scorer whose loss is told."""
    windows: tuple[Window, ...]
    """All windows the history was cut into; the scored ones are the last of them."""
    rows: int
    """Rows of the history."""
    policies: Mapping[str, PolicyResult]
    """In the order asked for; `never` is always there."""
    fits: int
    """Full fits that were made; policies that train on the same rows share one."""
    seconds: float = 0.0
    """How long the replay took; 0 where nobody measured it."""

    @property
    def scored(self) -> tuple[Window, ...]:
        """The windows in which champions were scored, each with the model chosen at the end of the one before."""
        longest = max((len(result.losses) for result in self.policies.values()), default=0)
        return self.windows[len(self.windows) - longest :]

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit backtest --json`."""
        return {
            "project": self.project,
            "policies": {name: result.as_json() for name, result in self.policies.items()},
            "windows": len(self.windows),
            "metric": self.metric,
            "rows": self.rows,
            "fits": self.fits,
            "seconds": self.seconds,
        }
