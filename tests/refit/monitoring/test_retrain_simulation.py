"""What the default policy does with drifts: hardly anything about one that does no harm, soon something otherwise.

Each simulation is a whole replay: first champion, probe, decision, training, gate and promotion, as in production.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from refit import MonitoringPolicy, Project
from refit.backtest.policies import make_preset
from refit.backtest.replay import replay_history
from refit.backtest.results import Event
from tests.support.simulation_sizes import most, sizes

WINDOWS, ROWS = 7, 800
CHANGE = 4
"""The window in which the drift begins; the first champion is trained on windows 0 and 1."""
START = datetime(2026, 1, 1, tzinfo=UTC)
DEFINITION = Project(
    name="simulated",
    kind="classification",
    target="y",
    timestamp="at",
    load=pd.DataFrame,
    build=LogisticRegression,
    label_delay=timedelta(0),
)


def stream(seed: int, *, harmful: bool) -> pd.DataFrame:
    """A stream in which the outcome changes sides, or else only a feature moves that has nothing to do with it."""
    rng, count = np.random.default_rng(seed), WINDOWS * ROWS
    columns = rng.normal(size=(count, 4))
    changed = np.arange(count) >= CHANGE * ROWS
    slope = np.where(changed & harmful, -1.0, 1.0)
    columns[:, 3] += np.where(changed & (not harmful), 2.0, 0.0) + rng.normal(0, 0.3, WINDOWS).repeat(ROWS)
    chance = 1 / (1 + np.exp(-(1.5 * slope * columns[:, 0] - columns[:, 1])))
    frame = pd.DataFrame(columns, columns=["first", "second", "third", "irrelevant"])
    frame["at"] = pd.date_range(START, periods=count, freq="h").as_unit("us")
    return frame.assign(y=(rng.random(count) < chance).astype(int))


def happened(seed: int, *, harmful: bool) -> tuple[Event, ...]:
    result = replay_history(
        DEFINITION, stream(seed, harmful=harmful), {"default": make_preset(MonitoringPolicy())}, WINDOWS
    )
    return result.policies["default"].events


@sizes(50)
def test_a_drift_of_an_irrelevant_feature_hardly_ever_leads_to_a_retrain(repeats: int) -> None:
    """In at most 5 % of the simulations, and in 2 of 50 of these ones: several probes that are lucky together."""
    retrained = [seed for seed in range(repeats) if any(e.what == "retrain" for e in happened(seed, harmful=False))]
    assert len(retrained) <= min(2, most(repeats, 0.05)), retrained


@sizes(50)
def test_a_change_of_the_concept_leads_to_a_retrain_within_two_mature_windows(repeats: int) -> None:
    """In 95 % of the simulations, and in 48 of 50 of these ones."""
    late = [
        seed
        for seed in range(repeats)
        if not any(e.what == "retrain" and e.window in (CHANGE, CHANGE + 1) for e in happened(seed, harmful=True))
    ]
    assert len(late) <= min(2, most(repeats, 0.05))
