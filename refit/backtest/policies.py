"""Named policies for a backtest: common retraining strategies to compare one's own policy with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refit.policies.monitoring import BudgetPolicy, DriftPolicy, MonitoringPolicy, PerformancePolicy

DEFAULT, OWN, NEVER = "default", "project", "never"
_NO_LIMIT = BudgetPolicy(retrains=1_000_000, burst=1_000_000)


@dataclass(frozen=True, slots=True)
class Preset:
    """A policy to replay, with the rows it trains on and its fixed retrains."""

    monitoring: MonitoringPolicy
    every: int | None = None
    """The number of windows from one unconditional retrain to the next; `None` for none."""
    window: Literal["all"] | None = None
    """The rows it trains on: `all` history; `None` for the project's training policy."""
    about: str = ""
    """One line for people about the policy."""


def _unconditional(about: str, every: int | None = None) -> Preset:
    nothing = MonitoringPolicy(drift=None, performance=None, probe=None, budget=_NO_LIMIT)
    return Preset(nothing, every, "all", about)


PRESETS = {
    NEVER: _unconditional("never retrain: the first champion keeps serving"),
    "every_window": _unconditional("retrain at the end of every window, on all history", every=1),
    "every_4th": _unconditional("retrain at the end of every fourth window, on all history", every=4),
    "fixed_psi": Preset(
        MonitoringPolicy(
            drift=DriftPolicy(rules=("psi > 0.2 on any",), persistence=(1, 1), then="retrain"),
            performance=None,
            probe=None,
            budget=_NO_LIMIT,
        ),
        window="all",
        about="retrain on all history when the PSI of any column is over 0.2",
    ),
    "performance_drop": Preset(
        MonitoringPolicy(
            drift=None, performance=PerformancePolicy(drop=0.05, then="retrain"), probe=None, budget=_NO_LIMIT
        ),
        window="all",
        about="retrain on all history when the loss has grown by 5 %",
    ),
    DEFAULT: Preset(MonitoringPolicy(), about="Refit's defaults: the expected gain of a retrain decides"),
}
"""The named policies. All but the default train on all history, as is common."""


def make_preset(monitoring: MonitoringPolicy) -> Preset:
    """Makes a preset from the policy of a project or a file.

    Args:
        monitoring: The policy.

    Returns:
        The preset, which trains by the project's own training policy.
    """
    return Preset(monitoring, about="the policy as given")
