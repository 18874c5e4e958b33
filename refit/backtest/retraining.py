"""Retrains in a replay: split, fit, gate and refit by the same pure functions as in production."""

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
from refit.windows import Window, format_window


@dataclass(frozen=True, slots=True)
class ReplayChampion:
    """A champion in a replay."""

    trained: Window
    """The training rows of the model that serves, which identify the model."""
    generation: int
    """Its generation, from 1."""
    evaluation: Evaluation
    """The scores on the holdout that it was promoted with."""


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """The outcome of a retrain in a replay."""

    ending: Literal["promoted", "rejected", "failed", "refused"]
    champion: ReplayChampion | None
    """The champion from now on; `None` before the first."""
    sentence: str
    """The outcome, for people."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains, judges and scores models in a replay; equal work is shared between policies."""

    definition: Project
    past: LabelledHistory
    cache: WorkCache
    metric: str
    """The scorer's name."""

    def retrain(self, as_of: datetime, champion: ReplayChampion | None) -> ReplayOutcome:
        """Trains a challenger on what was known, judges it, and promotes it if it passes the gate.

        Args:
            as_of: The moment, UTC.
            champion: The champion that serves; `None` before the first.

        Returns:
            The outcome; a rejected challenger and a failed fit are outcomes, not errors.

        Raises:
            BrokenExecutor: If a worker process died.
        """
        parts = self._split(as_of, champion)
        if isinstance(parts, str):
            return ReplayOutcome("refused", champion, parts)
        try:
            return self._judge(*parts, champion)
        except BrokenExecutor:
            raise
        except (RefitError, *ESTIMATOR_ERRORS) as fault:
            return ReplayOutcome("failed", champion, f"the training failed: {fault}")

    def model(self, rows: Window) -> BaseEstimator:
        """Returns the model that is fitted on the rows of a window.

        Args:
            rows: The window.

        Returns:
            The fitted model.
        """
        return self.cache.get(("fit", rows), fit_estimator, lambda: (self.definition, self.past.within(rows)))

    def evaluation(self, trained: Window, rows: Window) -> Evaluation:
        """Scores the model of one window on the rows of another.

        Args:
            trained: The window that it is fitted on.
            rows: The window that it is scored on.

        Returns:
            Its scores, over all rows and in blocks of time.
        """
        model = self.model(trained)
        return self.cache.get(
            ("evaluate", trained, rows),
            evaluate_model,
            lambda: (self.definition, self.metric, model, self.past.within(rows)),
        )

    def submit_losses(self, trained: Window, windows: tuple[Window, ...]) -> Future[list[float]]:
        """Starts to compute the losses of the model of one window in several others.

        Args:
            trained: The window that the model is fitted on.
            windows: Consecutive windows.

        Returns:
            A future of the losses, one for each window; NaN if a window allows no score.
        """
        rows, counts = Window(windows[0].start, windows[-1].end), [self.past.count(each) for each in windows]
        model = self.model(trained)
        return self.cache.submit(
            ("losses", trained, rows),
            window_losses,
            lambda: (self.definition, self.metric, model, self.past.within(rows), counts),
        )

    def _split(self, as_of: datetime, champion: ReplayChampion | None) -> tuple[Window, Window] | str:
        """Returns the training rows and the holdout, or why there are none."""
        policy, mature = self.definition.training, self.past.mature(as_of)
        times = self.past.times[: self.past.count(mature)]
        seen, least = champion.trained.end if champion else None, self.definition.gate.min_rows
        if not len(times) or (seen and count_unseen(times, seen) < 2 * least):
            return "there are too few new mature rows"
        cut = holdout_start(times, policy, seen)
        train, holdout = training_window(mature.start, cut, self.past.delay, policy), Window(cut, mature.end)
        few = self.past.count(train) < policy.min_rows or self.past.count(holdout) < least
        return "there are too few mature rows" if few else (train, holdout)

    def _judge(self, train: Window, holdout: Window, champion: ReplayChampion | None) -> ReplayOutcome:
        chosen = self._choose_window(train)
        comparison = self._compare(chosen, holdout, champion)
        verdict = decide(comparison, self.definition.gate)
        if not verdict.promote:
            failed = "; ".join(reason.sentence for reason in verdict.reasons if not reason.passed)
            return ReplayOutcome("rejected", champion, failed)
        served = self._refit_window(chosen, holdout, comparison)
        generation = champion.generation + 1 if champion else 1
        return ReplayOutcome(
            "promoted",
            ReplayChampion(served, generation, comparison.challenger),
            f"generation {generation}, trained on {self.past.count(served):,} rows from {format_window(served)}",
        )

    def _choose_window(self, train: Window) -> Window:
        policy = self.definition.training.window
        start = self.cache.get(
            ("choose", train, policy), _choose_start, lambda: (self.definition, self.past.within(train))
        )
        return Window(max(start, train.start), train.end)

    def _compare(self, chosen: Window, holdout: Window, champion: ReplayChampion | None) -> Comparison:
        rows = self.past.count(holdout)
        baseline = self.cache.get(
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

    def _refit_window(self, chosen: Window, holdout: Window, comparison: Comparison) -> Window:
        """Returns the training rows of the model that serves: all rows, if the refitted model is not worse."""
        if not self.definition.training.refit:
            return chosen
        everything = self._choose_window(Window(self.past.windows[0].start, holdout.end))
        bound = check_refit(self.evaluation(everything, holdout), comparison, self.definition.gate)
        return everything if bound.passed else chosen


def _choose_start(definition: Project, rows: pd.DataFrame) -> datetime:
    return choose_window(definition, rows).window.start
