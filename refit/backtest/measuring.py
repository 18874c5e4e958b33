"""What was known about a champion at the end of a window, by the same measures as in production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.backtest.retraining import Serving, Trainer
from refit.drift.anchors import anchor_of, blocks_of
from refit.drift.comparison import Reference, compare, reference_of
from refit.drift.findings import Drift
from refit.drift.profile import profile
from refit.evaluations import Evaluation
from refit.monitoring.evidence import Evidence, Performance, Probe, Request
from refit.monitoring.maturity import FAR, newest_mature
from refit.monitoring.performance import baseline, measure
from refit.monitoring.policies import DriftPolicy, MonitoringPolicy, PerformancePolicy
from refit.monitoring.probe import probe
from refit.predictions import predict_once
from refit.preparation import pick
from refit.project import Project
from refit.windows import Window

ANCHOR_ROWS = 50_000
"""So many rows of a reference fix its cells."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """Gathers evidence in a replay. What can only lead to an alert is not measured: an alert changes no model."""

    trainer: Trainer
    policy: MonitoringPolicy

    def look(self, number: int, champion: Serving, former: Sequence[Evaluation], request: Request | None) -> Evidence:
        """Gathers what was known at the end of a window.

        Args:
            number: The window's.
            champion: The one that serves.
            former: What each champion so far was promoted with.
            request: What was asked for from outside.

        Returns:
            The evidence; a part that the policy does not retrain for is `None`.
        """
        past, window = self.trainer.past, self.trainer.past.windows[number]
        mature, end = past.mature(window.end), champion.trained.end
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
            drift=self._drift(champion, window),
            performance=self._performance(champion, mature, window.length, former),
            probe=self._probe(champion, mature, window.length),
            request=request,
        )

    def _drift(self, champion: Serving, window: Window) -> Drift | None:
        policy, trainer = self.policy.drift, self.trainer
        if policy is None or policy.then != "retrain" or trainer.past.count(window) < policy.min_rows:
            return None
        rows = trainer.past.within(champion.trained)
        reference = trainer.workshop.ask(
            ("reference", champion.trained), make_reference, lambda: (trainer.definition, rows)
        )
        return trainer.workshop.ask(  # type: ignore[no-any-return]
            ("drift", champion.trained, window, policy),
            measure_drift,
            lambda: (trainer.definition, reference, trainer.past.within(window), window, policy),
        )

    def _performance(
        self, champion: Serving, mature: Window, length: timedelta, former: Sequence[Evaluation]
    ) -> Performance | None:
        policy, trainer = self.policy.performance, self.trainer
        start = champion.trained.end
        if policy is None or policy.then != "retrain" or mature.end <= start:
            return None
        model, unseen = trainer.model(champion.trained), Window(start, mature.end)
        return trainer.workshop.ask(  # type: ignore[no-any-return]
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

    def _probe(self, champion: Serving, mature: Window, length: timedelta) -> Probe | None:
        policy, trainer, past = self.policy.probe, self.trainer, self.trainer.past
        newest = past.newest(mature)
        if policy is None or policy.then != "retrain" or newest is None or newest <= champion.trained.end:
            return None
        judge = Window(newest - length, newest)
        return trainer.workshop.ask(  # type: ignore[no-any-return]
            ("probe", champion.trained, judge, policy.rows),
            probe,
            lambda: (trainer.definition, past.within(mature), champion.trained, judge, policy),
        )


def make_reference(definition: Project, rows: pd.DataFrame) -> Reference:
    """Profiles what a model was trained on; its predictions are left out, since a fixed rule names columns.

    Args:
        definition: The project.
        rows: The training rows, sorted by event time.

    Returns:
        The reference.
    """
    features = definition.features_of(rows.columns)
    table = _table(definition, rows)
    some = table.take(np.linspace(0, len(rows) - 1, min(len(rows), ANCHOR_ROWS)).astype(int))
    times = some.column(definition.timestamp).cast(pa.int64()).to_pylist()
    anchors = anchor_of(some, features, times, blocks_of(len(rows)))
    return reference_of(profile([table], anchors, definition.timestamp), None, definition.training.seed)


def measure_drift(
    definition: Project, reference: Reference, rows: pd.DataFrame, window: Window, policy: DriftPolicy
) -> Drift:
    """Compares a window with what a model was trained on.

    Args:
        definition: The project.
        reference: The model's.
        rows: The window's.
        window: The window.
        policy: The limits.

    Returns:
        What was found.
    """
    cells = reference.data.anchors.unblocked()
    return compare(reference, profile([_table(definition, rows)], cells, definition.timestamp), None, window, policy)


def measure_performance(
    definition: Project,
    metric: str,
    model: BaseEstimator,
    rows: pd.DataFrame,
    length: timedelta,
    policy: PerformancePolicy,
    former: tuple[Evaluation, ...],
) -> Performance | None:
    """Scores a champion on the newest mature window against the best that any was promoted with.

    Args:
        definition: The project.
        metric: The scorer's name.
        model: The champion's.
        rows: Mature rows it has not seen, sorted by event time.
        length: Of one window.
        policy: The limits.
        former: What each champion so far scored on the holdout it was promoted for.

    Returns:
        The score and the test; `None` without a mature window.
    """
    times = rows[definition.timestamp].dt.as_unit("us").astype("int64").to_numpy()
    mature = newest_mature(times, np.ones(len(rows), bool), length, policy)
    if mature is None:
        return None
    inside = rows[mature.window.holds(rows[definition.timestamp])].reset_index(drop=True)
    predictions = predict_once(model, pick(inside, definition.features_of(inside.columns)))
    against = baseline(metric, ((metric, evaluation) for evaluation in former))
    truth, moments = inside[definition.target], inside[definition.timestamp]
    changed = definition.model_copy(
        update={"monitoring": definition.monitoring.model_copy(update={"performance": policy})}
    )
    return measure(changed, mature, predictions, truth, moments, against)


def _newest(unseen: Window, length: timedelta) -> Window:
    return Window(max(unseen.start, unseen.end - (FAR + 1) * length), unseen.end)


def _table(definition: Project, rows: pd.DataFrame) -> pa.Table:
    columns = [definition.timestamp, *definition.features_of(rows.columns)]
    table = pa.Table.from_pandas(rows[columns], preserve_index=False)
    place = table.schema.get_field_index(definition.timestamp)
    return table.set_column(place, definition.timestamp, table.column(place).cast(pa.timestamp("us", "UTC")))
