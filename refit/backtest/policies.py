"""Policies by name: what teams do today, to hold one's own policy against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refit.policies.monitoring import BudgetPolicy, DriftPolicy, MonitoringPolicy, PerformancePolicy

DEFAULT, OWN, NEVER = "default", "project", "never"
_NO_LIMIT = BudgetPolicy(retrains=1_000_000, burst=1_000_000)


@dataclass(frozen=True, slots=True)
class Preset:
    """A policy to replay."""

    monitoring: MonitoringPolicy
    every: int | None = None
    """Ask for a retrain at the end of every so many windows, whatever is known; `None` is never."""
    window: Literal["all"] | None = None
    """Which rows it trains on: all history, or as the project's training policy says."""
    about: str = ""
    """One line for people."""


def _blind(about: str, every: int | None = None) -> Preset:
    nothing = MonitoringPolicy(drift=None, performance=None, probe=None, budget=_NO_LIMIT)
    return Preset(nothing, every, "all", about)


PRESETS = {
    NEVER: _blind("the first champion serves for ever"),
    "every_window": _blind("retrain at the end of every window, on all history", every=1),
    "every_4th": _blind("retrain at the end of every fourth window, on all history", every=4),
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
    DEFAULT: Preset(MonitoringPolicy(), about="Refit's defaults: a benefit probe decides"),
}
"""Each trains as its users do: on all history, but for the default, which trains as the project says."""


def make_preset(monitoring: MonitoringPolicy) -> Preset:
    """Makes a preset of a policy that a project or a file gives.

    Args:
        monitoring: The policy.

    Returns:
        It, with the project's own training policy.
    """
    return Preset(monitoring, about="as given")
