"""Refit's rules, statistics and vocabulary, and the public library.

Belongs here: value types (windows, references, evaluations, verdicts), the definition of a project and its policies,
and every rule that is a pure function of its arguments. Does not belong here: I/O, clocks, logging, Prefect, MLflow,
Great Expectations. The one exception is `refit.sources`, whose ready-made loads read data when a task calls them.

The names that a project file needs are importable from here::

    from refit import Project, TrainingPolicy, Window

They are imported on first use, so that commands that only read the ledger do not import scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refit.policies.gate import Budgets, FairnessPolicy, GatePolicy
    from refit.policies.monitoring import (
        BudgetPolicy,
        DriftPolicy,
        MonitoringPolicy,
        PerformancePolicy,
        ProbePolicy,
        WatchPolicy,
    )
    from refit.policies.training import (
        Choice,
        ContractPolicy,
        DeploymentPolicy,
        FloatRange,
        IngestionPolicy,
        IntRange,
        NotificationPolicy,
        Schedule,
        ServingPolicy,
        TrainingPolicy,
        Tuning,
    )
    from refit.project import Project
    from refit.windows import Window

__all__ = [
    "BudgetPolicy",
    "Budgets",
    "Choice",
    "ContractPolicy",
    "DeploymentPolicy",
    "DriftPolicy",
    "FairnessPolicy",
    "FloatRange",
    "GatePolicy",
    "IngestionPolicy",
    "IntRange",
    "MonitoringPolicy",
    "NotificationPolicy",
    "PerformancePolicy",
    "ProbePolicy",
    "Project",
    "Schedule",
    "ServingPolicy",
    "TrainingPolicy",
    "Tuning",
    "WatchPolicy",
    "Window",
]

_HOMES = {
    "refit.policies.gate": ("Budgets", "FairnessPolicy", "GatePolicy"),
    "refit.policies.monitoring": (
        "BudgetPolicy",
        "DriftPolicy",
        "MonitoringPolicy",
        "PerformancePolicy",
        "ProbePolicy",
        "WatchPolicy",
    ),
    "refit.policies.training": (
        "Choice",
        "ContractPolicy",
        "DeploymentPolicy",
        "FloatRange",
        "IngestionPolicy",
        "IntRange",
        "NotificationPolicy",
        "Schedule",
        "ServingPolicy",
        "TrainingPolicy",
        "Tuning",
    ),
    "refit.project": ("Project",),
    "refit.windows": ("Window",),
}
"""The module that defines each name."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes of all kinds
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'refit' has no attribute {name!r}")
