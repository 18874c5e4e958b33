"""One retrain in a replay: split, training, gate and refit by the same pure functions as in production."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd
from sklearn.base import BaseEstimator

from refit.backtest.history import LabelledHistory
from refit.backtest.work_cache import WorkCache
from refit.backtest.worker_functions import evaluate_baseline, evaluate_model, window_losses
from refit.data.split import count_unseen, holdout_start, training_window
from refit.errors import RefitError
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import check_refit
from refit.modelling.predictions import ESTIMATOR_ERRORS
from refit.modelling.training_window import choose_window
from refit.modelling.trials import fit_estimator
from refit.project import Project
from refit.records.references import SnapshotRef
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class ReplayChampion:
    """A champion in a replay."""

    trained: Window
    """The rows the model that serves was fitted on; they name the model."""
    generation: int
    evaluation: Evaluation
    """What its challenger scored on the holdout it was promoted for."""


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """What became of a retrain."""

    ending: Literal["promoted", "rejected", "failed", "refused"]
    champion: ReplayChampion | None
    """Who serves from now on; `None` where nobody does yet."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Trainer:
    """What a retrain in a replay needs."""

    definition: Project
    past: LabelledHistory
    workshop: WorkCache
    metric: str

    def retrain(self, as_of: datetime, champion: ReplayChampion | None) -> ReplayOutcome:
        """Trains a challenger on what was known, judges it, and promotes it if it passes the gate.

        Args:
            as_of: The instant looked from, UTC.
            champion: The one that serves, if any.

        Returns:
            What became of it; a rejected challenger and a failed fit are outcomes like others.

        Raises:
            BrokenExecutor: If a worker process died.
        """
        parts = self._split(as_of, champion)
        if isinstance(parts, str):
            return ReplayOutcome("refused", champion, parts)
        try:
            return self._judged(*parts, champion)
        except BrokenExecutor:
            raise
        except (RefitError, *ESTIMATOR_ERRORS) as fault:
            return ReplayOutcome("failed", champion, f"no challenger came about: {fault}")

    def model(self, rows: Window) -> BaseEstimator:
        """Gives the model that was fitted on a window's rows.

        Args:
            rows: The window.
        """
        return self.workshop.ask(("fit", rows), fit_estimator, lambda: (self.definition, self.past.within(rows)))

    def evaluation(self, trained: Window, rows: Window) -> Evaluation:
        """Scores the model that was fitted on one window's rows on another's.

        Args:
            trained: What it was fitted on.
            rows: What it is scored on.

        Returns:
            Its score, whole and in blocks of time.
        """
        model = self.model(trained)
        return self.workshop.ask(
            ("evaluate", trained, rows),
            evaluate_model,
            lambda: (self.definition, self.metric, model, self.past.within(rows)),
        )

    def order_losses(self, trained: Window, windows: tuple[Window, ...]) -> Future[list[float]]:
        """Asks what the model that was fitted on a window's rows loses in each of several others.

        Args:
            trained: What it was fitted on.
            windows: Consecutive ones.

        Returns:
            Where the losses will be; NaN for a window that allows no score.
        """
        rows, counts = Window(windows[0].start, windows[-1].end), [self.past.count(each) for each in windows]
        model = self.model(trained)
        return self.workshop.order(
            ("losses", trained, rows),
            window_losses,
            lambda: (self.definition, self.metric, model, self.past.within(rows), counts),
        )

    def _split(self, as_of: datetime, champion: ReplayChampion | None) -> tuple[Window, Window] | str:
        """Gives the training rows and the holdout, or why there are none."""
        policy, mature = self.definition.training, self.past.mature(as_of)
        times = self.past.times[: self.past.count(mature)]
        seen, least = champion.trained.end if champion else None, self.definition.gate.min_rows
        if not len(times) or (seen and count_unseen(times, seen) < 2 * least):
            return "there are too few new mature rows"
        cut = holdout_start(times, policy, seen)
        train, holdout = training_window(mature.start, cut, self.past.delay, policy), Window(cut, mature.end)
        few = self.past.count(train) < policy.min_rows or self.past.count(holdout) < least
        return "there are too few mature rows" if few else (train, holdout)

    def _judged(self, train: Window, holdout: Window, champion: ReplayChampion | None) -> ReplayOutcome:
        chosen = self._chosen(train)
        comparison = self._comparison(chosen, holdout, champion)
        verdict = decide(comparison, self.definition.gate)
        if not verdict.promote:
            failed = "; ".join(reason.sentence for reason in verdict.reasons if not reason.passed)
            return ReplayOutcome("rejected", champion, failed)
        served = self._served(chosen, holdout, comparison)
        generation = champion.generation + 1 if champion else 1
        return ReplayOutcome(
            "promoted",
            ReplayChampion(served, generation, comparison.challenger),
            f"generation {generation}, on {self.past.count(served):,} rows of {served}",
        )

    def _chosen(self, train: Window) -> Window:
        policy = self.definition.training.window
        start = self.workshop.ask(
            ("choose", train, policy), _start_of_choice, lambda: (self.definition, self.past.within(train))
        )
        return Window(max(start, train.start), train.end)

    def _comparison(self, chosen: Window, holdout: Window, champion: ReplayChampion | None) -> Comparison:
        rows = self.past.count(holdout)
        baseline = self.workshop.ask(
            ("baseline", chosen, holdout),
            evaluate_baseline,
            lambda: (self.definition, self.metric, self.past.within(chosen), self.past.within(holdout)),
        )
        return Comparison(
            metric=self.metric,
            holdout=SnapshotRef(self.definition.name, 0, holdout, rows, "", labelled=True),
            challenger=self.evaluation(chosen, holdout),
            baseline=baseline,
            champion=self.evaluation(champion.trained, holdout) if champion else None,
        )

    def _served(self, chosen: Window, holdout: Window, comparison: Comparison) -> Window:
        """Names the rows of the model that serves: all of them, where the fit on all is as good as the judged one."""
        if not self.definition.training.refit:
            return chosen
        everything = self._chosen(Window(self.past.windows[0].start, holdout.end))
        bound = check_refit(self.evaluation(everything, holdout), comparison, self.definition.gate)
        return everything if bound.passed else chosen


def _start_of_choice(definition: Project, rows: pd.DataFrame) -> datetime:
    return choose_window(definition, rows).window.start
