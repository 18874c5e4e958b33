"""Results of a backtest: the losses, trainings and events of each policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from refit.windows import Window

EventKind = Literal["retrain", "promotion", "rejection", "alert", "failure"]


@dataclass(frozen=True, slots=True)
class Event:
    """What a policy did at the end of a window."""

    window: int
    """The number of the window, from 0."""
    at: datetime
    """The end of the window, UTC."""
    what: EventKind
    """`retrain` is a training that the policy decided on; `promotion`, `rejection` or `failure` is its outcome."""
    sentence: str
    """The reason or the outcome, for people."""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """The losses and events of one policy."""

    loss: float
    """The mean loss of the serving champion over the scored windows, in the metric's unit; NaN without any."""
    relative_loss: float
    """`loss` divided by that of never retraining; NaN if that is 0."""
    interval: tuple[float, float] | None
    """The 95 % interval of `relative_loss` over the windows; `None` with too few of them."""
    regret: float
    """The mean difference to the loss of the best model that any policy had by then, in the metric's unit."""
    trainings: int
    """The number of retrains, without that for the first champion, which all policies share."""
    promotions: int
    """The number of retrains whose challenger was promoted."""
    losses: tuple[float, ...]
    """The loss in each scored window; NaN if a window allows no score."""
    champions: tuple[int, ...]
    """The generation that served each scored window, from 1."""
    events: tuple[Event, ...]
    """What happened, the oldest first."""

    @property
    def trained_after(self) -> tuple[int, ...]:
        """The numbers of the windows at whose ends it trained, from 0."""
        return tuple(sorted({event.window for event in self.events if event.what == "retrain"}))

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit backtest --json`."""
        values = {"loss": self.loss, "relative_loss": self.relative_loss, "regret": self.regret}
        return {
            **{name: _defined(value) for name, value in values.items()},
            "interval": list(self.interval) if self.interval else None,
            "trainings": self.trainings,
            "promotions": self.promotions,
            "losses": [_defined(value) for value in self.losses],
            "trained_after": list(self.trained_after),
        }


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The results of several policies on the same history."""

    project: str
    metric: str
    """The name of the scorer whose loss is reported."""
    windows: tuple[Window, ...]
    """All windows of the history; the last of them are scored."""
    rows: int
    """Rows of the history."""
    policies: Mapping[str, PolicyResult]
    """The results by policy, in the order asked for; `never` is always among them."""
    fits: int
    """The number of full fits; policies that train on the same rows share one."""
    seconds: float = 0.0
    """How long the replay took; 0 if that was not measured."""

    @property
    def scored(self) -> tuple[Window, ...]:
        """The windows in which champions were scored, each served by the champion at the end of the window before."""
        longest = max((len(result.losses) for result in self.policies.values()), default=0)
        return self.windows[len(self.windows) - longest :]

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit backtest --json`."""
        return {
            "project": self.project,
            "policies": {name: result.as_json() for name, result in self.policies.items()},
            "windows": len(self.windows),
            "scored": len(self.scored),
            "metric": self.metric,
            "rows": self.rows,
            "fits": self.fits,
            "seconds": self.seconds,
        }


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
