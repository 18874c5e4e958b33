"""Replay of policies on a project's history, each with only what was known at the time, and their comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from refit.backtest.history import FIRST_WINDOWS, LabelledHistory
from refit.backtest.intervals import bound_relative_loss
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
"""Called with the policy's name, the number of windows it has replayed, and their total."""


def replay_history(
    definition: Project,
    rows: pd.DataFrame,
    presets: Mapping[str, Preset],
    windows: int = 30,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> BacktestResult:
    """Replays a project's history under several policies.

    The history is cut into windows of about equally many labelled rows. The first champion is trained at the end of the
    second window, or later if labels come late, as by `refit retrain`. From then on the champion at the end of a window
    serves the next window and is scored on it. At each end a policy sees the rows so far and the labels whose delay has
    passed, and `decide` decides whether to retrain. A retrain is split, trained, judged by the gate and refitted as in
    production. A cooldown of one window and a budget period of 28 windows are counted in these windows.
    Hyperparameters are not tuned.

    Args:
        definition: The project.
        rows: All its rows.
        presets: The policies by name; `never` is added, since all are compared with it.
        windows: The number of windows.
        executor: Runs fits and scores in parallel, in processes that can load the project's estimator; `None` for this
            thread. The result is the same.
        progress: Called after every window of every policy.

    Returns:
        The losses and events of each policy.

    Raises:
        NotEnoughData: If there are too few rows for the windows, or no first champion is promoted.
    """
    past = LabelledHistory.from_rows(definition, rows, windows)
    metric, cache = primary_metric(definition, past.rows[definition.target].unique()), WorkCache(executor)
    policies_by_name = {NEVER: PRESETS[NEVER], **presets}
    begin, first = _train_first(Trainer(definition, past, cache, metric))
    report = progress or (lambda _name, _done, _of: None)

    def run(item: tuple[str, Preset]) -> PolicyRun:
        name, preset = item
        tell = _progress_of(report, name, len(past.windows), begin)
        return _run_policy(_trainer(definition, preset, past, cache, metric), preset, begin, first, tell)

    # A fit seeds numpy's global generator, so threads of one process must not fit in parallel.
    with ThreadPoolExecutor(len(policies_by_name) if executor else 1) as threads:
        runs = dict(zip(policies_by_name, threads.map(run, policies_by_name.items()), strict=True))
    return compare_runs(Trainer(definition, past, cache, metric), runs)


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """What one policy did in a replay."""

    served: tuple[Window, ...]
    """The training rows of the model that served each scored window."""
    generations: tuple[int, ...]
    """The generation that served each scored window, from 1."""
    events: tuple[Event, ...]
    """What happened, the oldest first."""


def compare_runs(trainer: Trainer, runs: Mapping[str, PolicyRun]) -> BacktestResult:
    """Scores the champions in each window, and compares the policies.

    Args:
        trainer: For the models.
        runs: The runs by policy; `never` is among them.

    Returns:
        The result of the backtest.
    """
    longest = max(len(run.served) for run in runs.values())
    windows = trainer.past.windows[len(trainer.past.windows) - longest :]
    model_losses = _model_losses(trainer, runs, windows)
    losses = {
        name: [model_losses[trained][number] for number, trained in enumerate(run.served)] for name, run in runs.items()
    }
    best = _best_losses(model_losses, longest)
    mean = {name: _mean(each) for name, each in losses.items()}
    policies = {
        name: PolicyResult(
            loss=mean[name],
            relative_loss=mean[name] / mean[NEVER] if mean[NEVER] > 0 else math.nan,
            interval=bound_relative_loss(losses[name], losses[NEVER]),
            regret=_mean([one - least for one, least in zip(losses[name], best, strict=True)]),
            trainings=sum(event.what == "retrain" for event in run.events),
            promotions=sum(event.what == "promotion" for event in run.events),
            losses=tuple(losses[name]),
            champions=run.generations,
            events=run.events,
        )
        for name, run in runs.items()
    }
    fits = trainer.cache.count("fit")
    past = trainer.past
    return BacktestResult(trainer.definition.name, trainer.metric, past.windows, len(past.rows), policies, fits)


def _train_first(trainer: Trainer) -> tuple[int, ReplayChampion]:
    """Trains the first champion as early as possible, and returns it with the number of its first window."""
    windows = trainer.past.windows
    for begin in range(FIRST_WINDOWS, len(windows) // 2 + 1):
        outcome = trainer.retrain(windows[begin - 1].end, None)
        if outcome.champion is not None:
            return begin, outcome.champion
    raise NotEnoughData(
        f"no champion was promoted in the first half of {len(windows)} windows ({outcome.sentence}): ask for fewer "
        f"windows, so that each has more rows"
    )


def _trainer(definition: Project, preset: Preset, past: LabelledHistory, cache: WorkCache, metric: str) -> Trainer:
    policy = definition.training
    chosen = policy if preset.window is None else policy.model_copy(update={"window": preset.window})
    return Trainer(definition.model_copy(update={"training": chosen}), past, cache, metric)


def _progress_of(report: Progress, name: str, windows: int, begin: int) -> Callable[[int], None]:
    return lambda number: report(name, number - begin + 1, windows - begin)


def _run_policy(
    trainer: Trainer, preset: Preset, begin: int, first: ReplayChampion, report: Callable[[int], None]
) -> PolicyRun:
    champion, history, former = first, History(), [first.evaluation]
    served, generations, events = list[Window](), list[int](), list[Event]()
    last = len(trainer.past.windows) - 1
    for number in range(begin, last + 1):
        served.append(champion.trained)
        generations.append(champion.generation)
        if number < last:  # a decision at the very end would serve no window
            champion, history, new_events = _step(trainer, preset, number, champion, history, former)
            events.extend(new_events)
        report(number)
    return PolicyRun(tuple(served), tuple(generations), tuple(events))


def _step(
    trainer: Trainer, preset: Preset, number: int, champion: ReplayChampion, history: History, former: list[Evaluation]
) -> tuple[ReplayChampion, History, list[Event]]:
    """Decides at the end of a window, and retrains if that is the decision."""
    policy, at = _with_period(preset.monitoring, trainer.past, number), trainer.past.windows[number].end
    evidence = ReplayMonitor(trainer, policy).measure(number, champion, former, _request(preset, number))
    decision = decide(evidence, policy, history)
    history = history.after(evidence, decision, policy)
    if decision.action != "retrain":
        alerts = [Event(number, at, "alert", str(decision))] if decision.action == "alert" else []
        return champion, history, alerts
    outcome = trainer.retrain(at, champion)
    if outcome.ending == "promoted" and outcome.champion:
        former.append(outcome.champion.evaluation)
    return (
        outcome.champion or champion,
        history.finished(outcome.ending, 0.0),
        _events_of(outcome, number, at, str(decision)),
    )


def _events_of(outcome: ReplayOutcome, number: int, at: datetime, why: str) -> list[Event]:
    if outcome.ending == "refused":
        return [Event(number, at, "failure", outcome.sentence)]
    words: dict[str, EventKind] = {"promoted": "promotion", "rejected": "rejection", "failed": "failure"}
    return [Event(number, at, "retrain", why), Event(number, at, words[outcome.ending], outcome.sentence)]


def _with_period(policy: MonitoringPolicy, past: LabelledHistory, number: int) -> MonitoringPolicy:
    """Sets the budget's period to the length of 28 windows, by the last ones, unless the policy has a period."""
    if policy.budget.period is not None:
        return policy
    recent = past.windows[max(0, number + 1 - PERIOD_WINDOWS) : number + 1]
    period = (recent[-1].end - recent[0].start) * PERIOD_WINDOWS / len(recent)
    return policy.model_copy(update={"budget": policy.budget.model_copy(update={"period": period})})


def _request(preset: Preset, number: int) -> RetrainRequest | None:
    if preset.every is None or (number - FIRST_WINDOWS + 1) % preset.every:
        return None
    return RetrainRequest("manual", f"every {preset.every} windows", force=True)


def _model_losses(
    trainer: Trainer, runs: Mapping[str, PolicyRun], windows: tuple[Window, ...]
) -> dict[Window, dict[int, float]]:
    """Returns the loss of each model that served any policy, by window number from its first service on."""
    begins: dict[Window, int] = {}
    for run in runs.values():
        for number, trained in enumerate(run.served):
            begins[trained] = min(number, begins.get(trained, number))
    ordered = {trained: trainer.submit_losses(trained, windows[begin:]) for trained, begin in begins.items()}
    return {trained: dict(enumerate(ordered[trained].result(), start=begins[trained])) for trained in ordered}


def _best_losses(model_losses: Mapping[Window, Mapping[int, float]], windows: int) -> list[float]:
    """Returns the lowest loss in each window among all models that had served any policy by then."""
    return [
        min((each[number] for each in model_losses.values() if number in each), default=math.nan)
        for number in range(windows)
    ]


def _mean(values: list[float]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else math.nan
