"""Evidence about a champion at the end of a window, measured as in production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from refit.backtest.retraining import ReplayChampion, Trainer
from refit.backtest.worker_functions import build_reference, measure_drift, measure_performance
from refit.gate.evaluations import Evaluation
from refit.modelling.trials import sample_rows
from refit.monitoring.benefit_probe import MOST_ROWS, probe_benefit
from refit.monitoring.evidence import Evidence, Performance, Probe, RetrainRequest
from refit.monitoring.label_maturity import FAR
from refit.policies.monitoring import MonitoringPolicy
from refit.records.drift_findings import Drift
from refit.windows import Window


@dataclass(frozen=True, slots=True)
class ReplayMonitor:
    """Measures evidence in a replay, without what can only lead to an alert, since an alert changes no model."""

    trainer: Trainer
    policy: MonitoringPolicy

    def measure(
        self, number: int, champion: ReplayChampion, former: Sequence[Evaluation], request: RetrainRequest | None
    ) -> Evidence:
        """Measures the evidence at the end of a window.

        Args:
            number: The number of the window, from 0.
            champion: The champion that serves.
            former: The scores that each champion so far was promoted with.
            request: A request for a retrain; `None` without one.

        Returns:
            The evidence; a part is `None` if the policy does not retrain for it.
        """
        past, window = self.trainer.past, self.trainer.past.windows[number]
        mature, end = past.mature(window.end), champion.trained.end
        probed = self._probe(champion, mature, window.length)
        return Evidence(
            project=self.trainer.definition.name,
            as_of=window.end,
            generation=champion.generation,
            window=window,
            length=window.length,
            rows=past.count(window),
            table_version=0,
            trained_until=end,
            new_rows=past.count(Window(min(end, window.end), window.end)),
            mature_until=mature.end,
            growth=past.count(mature) / max(1, past.count(Window(mature.start, min(end, mature.end)))),
            drift=self._drift(champion, window),
            performance=self._performance(champion, mature, window.length, former),
            probe=probed if isinstance(probed, Probe) else None,
            request=request,
            unprobed=probed if isinstance(probed, str) else "",
        )

    def _drift(self, champion: ReplayChampion, window: Window) -> Drift | None:
        policy, trainer = self.policy.drift, self.trainer
        if policy is None or policy.then != "retrain" or trainer.past.count(window) < policy.min_rows:
            return None
        rows = trainer.past.within(champion.trained)
        reference = trainer.cache.get(
            ("reference", champion.trained), build_reference, lambda: (trainer.definition, rows)
        )
        return trainer.cache.get(
            ("drift", champion.trained, window, policy),
            measure_drift,
            lambda: (trainer.definition, reference, trainer.past.within(window), window, policy),
        )

    def _performance(
        self, champion: ReplayChampion, mature: Window, length: timedelta, former: Sequence[Evaluation]
    ) -> Performance | None:
        policy, trainer = self.policy.performance, self.trainer
        start = champion.trained.end
        if policy is None or policy.then != "retrain" or mature.end <= start:
            return None
        model, unseen = trainer.model(champion.trained), Window(start, mature.end)
        return trainer.cache.get(
            ("performance", champion.trained, unseen, tuple(former), policy),
            measure_performance,
            lambda: (
                trainer.definition,
                trainer.metric,
                model,
                trainer.past.within(_newest(unseen, length)),
                length,
                policy,
                tuple(former),
            ),
        )

    def _probe(self, champion: ReplayChampion, mature: Window, length: timedelta) -> Probe | str | None:
        policy, trainer, past = self.policy.probe, self.trainer, self.trainer.past
        newest = past.newest(mature)
        if policy is None or policy.then != "retrain" or newest is None or newest <= champion.trained.end:
            return None
        judge = Window(newest - length, newest)
        return trainer.cache.get(
            ("probe", champion.trained, judge, policy),
            probe_benefit,
            lambda: (
                trainer.definition,
                sample_rows(past.within(mature), MOST_ROWS, trainer.definition.training.seed),
                champion.trained,
                judge,
                policy,
            ),
        )


def _newest(unseen: Window, length: timedelta) -> Window:
    return Window(max(unseen.start, unseen.end - (FAR + 1) * length), unseen.end)
