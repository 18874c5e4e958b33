"""What the policies' lives add up to: losses, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refit.backtest.policies import NEVER
from refit.backtest.results import BacktestResult, Event, PolicyResult
from refit.backtest.retraining import Trainer
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class Life:
    """What one policy lived through."""

    served: tuple[Window, ...]
    """The training rows of the model that served each scored window."""
    generations: tuple[int, ...]
    events: tuple[Event, ...]


def compare_lives(trainer: Trainer, lives: Mapping[str, Life]) -> BacktestResult:
    """Scores what served in each window, and holds the policies against each other.

    Args:
        trainer: For the models.
        lives: By policy; `never` is among them.

    Returns:
        The comparison.
    """
    longest = max(len(life.served) for life in lives.values())
    windows = trainer.past.windows[len(trainer.past.windows) - longest :]
    lost = _losses(trainer, lives, windows)
    losses = {
        name: [lost[trained][number] for number, trained in enumerate(life.served)] for name, life in lives.items()
    }
    best = _best(lost, longest)
    mean = {name: _mean(each) for name, each in losses.items()}
    policies = {
        name: PolicyResult(
            loss=mean[name],
            relative_loss=mean[name] / mean[NEVER] if mean[NEVER] > 0 else math.nan,
            regret=_mean([one - least for one, least in zip(losses[name], best, strict=True)]),
            trainings=sum(event.what == "retrain" for event in life.events),
            promotions=sum(event.what == "promotion" for event in life.events),
            losses=tuple(losses[name]),
            champions=life.generations,
            events=life.events,
        )
        for name, life in lives.items()
    }
    fits = trainer.workshop.count("fit")
    past = trainer.past
    return BacktestResult(trainer.definition.name, trainer.metric, past.windows, len(past.rows), policies, fits)


def _losses(trainer: Trainer, lives: Mapping[str, Life], windows: tuple[Window, ...]) -> dict[Window, dict[int, float]]:
    """Gives what each model that served any policy loses in each window from its first service on, by number."""
    begins: dict[Window, int] = {}
    for life in lives.values():
        for number, trained in enumerate(life.served):
            begins[trained] = min(number, begins.get(trained, number))
    ordered = {trained: trainer.order_losses(trained, windows[begin:]) for trained, begin in begins.items()}
    return {trained: dict(enumerate(ordered[trained].result(), start=begins[trained])) for trained in ordered}


def _best(lost: Mapping[Window, Mapping[int, float]], windows: int) -> list[float]:
    """Gives the least loss in each window among all models that had served any policy by then."""
    return [
        min((each[number] for each in lost.values() if number in each), default=math.nan) for number in range(windows)
    ]


def _mean(values: list[float]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else math.nan
