"""The replay: every policy lives through the project's history, window by window, and sees only what was known.

What the policies' lives add up to: losses, and how they compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from refit.backtest.history import FIRST_WINDOWS, LabelledHistory
from refit.backtest.measurement import ReplayMonitor
from refit.backtest.policies import NEVER, PRESETS, Preset
from refit.backtest.results import BacktestResult, Event, EventKind, PolicyResult
from refit.backtest.retraining import ReplayChampion, ReplayOutcome, Trainer
from refit.backtest.work_cache import WorkCache
from refit.errors import NotEnoughData
from refit.gate.evaluations import Evaluation
from refit.modelling.scoring import primary_metric
from refit.monitoring.decide import decide
from refit.monitoring.evidence import RetrainRequest
from refit.monitoring.history import PERIOD_WINDOWS, History
from refit.policies.monitoring import MonitoringPolicy
from refit.project import Project
from refit.windows import Window

Progress = Callable[[str, int, int], None]
"""Told the policy, how many windows it has lived through, and of how many."""


def replay_history(
    definition: Project,
    rows: pd.DataFrame,
    presets: Mapping[str, Preset],
    windows: int = 30,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> BacktestResult:
    """Replays a project's history under several policies.

    The history is cut into windows of about equally many labelled rows. The first champion is trained, as by `refit
    retrain`, at the end of the second, or later where labels come late. From then on the champion of a window's end
    serves the next window, and is scored on it. At each end a policy sees the rows of that time and the labels whose
    delay has passed, and `decide` says whether to retrain; a retrain is split, trained, judged by the gate and fitted
    again as in production. A cooldown of one window and a period of 28 are counted in these windows. Hyperparameters
    are not tuned.

    Args:
        definition: The project.
        rows: All its rows.
        presets: The policies, by name; `never` is added, since all are held against it.
        windows: How many windows are wanted.
        executor: Runs fits and scores in parallel, in processes that can load the project's estimator; in this thread
            if left out. The result is the same.
        progress: Told after every window of every policy.

    Returns:
        What each policy lost and did.

    Raises:
        NotEnoughData: If there are too few rows for that, or no first champion comes about.
    """
    past = LabelledHistory.of(definition, rows, windows)
    metric, workshop = primary_metric(definition, past.rows[definition.target].unique()), WorkCache(executor)
    everyone = {NEVER: PRESETS[NEVER], **presets}
    begin, first = _first(Trainer(definition, past, workshop, metric))
    told = progress or (lambda _name, _done, _of: None)

    def live(item: tuple[str, Preset]) -> PolicyRun:
        name, preset = item
        tell = _telling(told, name, len(past.windows), begin)
        return _live(_trainer(definition, preset, past, workshop, metric), preset, begin, first, tell)

    # A fit seeds numpy's global generator, so threads of one process must not make fits side by side.
    with ThreadPoolExecutor(len(everyone) if executor else 1) as threads:
        lives = dict(zip(everyone, threads.map(live, everyone.items()), strict=True))
    return compare_runs(Trainer(definition, past, workshop, metric), lives)


def _first(trainer: Trainer) -> tuple[int, ReplayChampion]:
    """Trains the first champion as early as one comes about, and gives the window that it serves first."""
    windows = trainer.past.windows
    for begin in range(FIRST_WINDOWS, len(windows) // 2 + 1):
        attempted = trainer.retrain(windows[begin - 1].end, None)
        if attempted.champion is not None:
            return begin, attempted.champion
    raise NotEnoughData(
        f"no first champion comes of the first half of {len(windows)} windows ({attempted.sentence}): ask for fewer "
        f"windows, so that each has more rows"
    )


def _trainer(definition: Project, preset: Preset, past: LabelledHistory, workshop: WorkCache, metric: str) -> Trainer:
    policy = definition.training
    chosen = policy if preset.window is None else policy.model_copy(update={"window": preset.window})
    return Trainer(definition.model_copy(update={"training": chosen}), past, workshop, metric)


def _telling(told: Progress, name: str, windows: int, begin: int) -> Callable[[int], None]:
    return lambda number: told(name, number - begin + 1, windows - begin)


def _live(
    trainer: Trainer, preset: Preset, begin: int, first: ReplayChampion, told: Callable[[int], None]
) -> PolicyRun:
    champion, history, former = first, History(), [first.evaluation]
    served, generations, events = list[Window](), list[int](), list[Event]()
    last = len(trainer.past.windows) - 1
    for number in range(begin, last + 1):
        served.append(champion.trained)
        generations.append(champion.generation)
        if number < last:  # a decision at the very end would serve no window
            champion, history, happened = _turn(trainer, preset, number, champion, history, former)
            events.extend(happened)
        told(number)
    return PolicyRun(tuple(served), tuple(generations), tuple(events))


def _turn(
    trainer: Trainer, preset: Preset, number: int, champion: ReplayChampion, history: History, former: list[Evaluation]
) -> tuple[ReplayChampion, History, list[Event]]:
    """Decides at a window's end, and retrains if that is what is decided."""
    policy, at = _counted_in_windows(preset.monitoring, trainer.past, number), trainer.past.windows[number].end
    evidence = ReplayMonitor(trainer, policy).look(number, champion, former, _request(preset, number))
    decision = decide(evidence, policy, history)
    history = history.after(evidence, decision, policy)
    if decision.action != "retrain":
        alerts = [Event(number, at, "alert", str(decision))] if decision.action == "alert" else []
        return champion, history, alerts
    attempted = trainer.retrain(at, champion)
    if attempted.ending == "promoted" and attempted.champion:
        former.append(attempted.champion.evaluation)
    return (
        attempted.champion or champion,
        history.finished(attempted.ending, 0.0),
        _told(attempted, number, at, str(decision)),
    )


def _told(attempted: ReplayOutcome, number: int, at: datetime, why: str) -> list[Event]:
    if attempted.ending == "refused":
        return [Event(number, at, "failure", attempted.sentence)]
    words: dict[str, EventKind] = {"promoted": "promotion", "rejected": "rejection", "failed": "failure"}
    return [Event(number, at, "retrain", why), Event(number, at, words[attempted.ending], attempted.sentence)]


def _counted_in_windows(policy: MonitoringPolicy, past: LabelledHistory, number: int) -> MonitoringPolicy:
    """Says how long 28 windows take, by the last ones, where the policy leaves the budget's period to the windows."""
    if policy.budget.period is not None:
        return policy
    recent = past.windows[max(0, number + 1 - PERIOD_WINDOWS) : number + 1]
    period = (recent[-1].end - recent[0].start) * PERIOD_WINDOWS / len(recent)
    return policy.model_copy(update={"budget": policy.budget.model_copy(update={"period": period})})


def _request(preset: Preset, number: int) -> RetrainRequest | None:
    if preset.every is None or (number - FIRST_WINDOWS + 1) % preset.every:
        return None
    return RetrainRequest("manual", f"every {preset.every} windows", force=True)


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """What one policy lived through."""

    served: tuple[Window, ...]
    """The training rows of the model that served each scored window."""
    generations: tuple[int, ...]
    events: tuple[Event, ...]


def compare_runs(trainer: Trainer, lives: Mapping[str, PolicyRun]) -> BacktestResult:
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


def _losses(
    trainer: Trainer, lives: Mapping[str, PolicyRun], windows: tuple[Window, ...]
) -> dict[Window, dict[int, float]]:
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
