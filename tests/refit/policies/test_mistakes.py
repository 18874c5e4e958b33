"""Mistakes in a project file that are found when it is read."""

from __future__ import annotations

import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer, get_scorer_names

from refit import GatePolicy, Project
from refit.policies.gate import CLASS_METRICS, NUMBER_METRICS
from refit.project import Kind


def orchard(kind: Kind, metric: str | None) -> Project:
    return Project(
        name="orchard", kind=kind, target="ripe", timestamp="at", load=lambda _: pd.DataFrame(), build=DummyClassifier,
        gate=GatePolicy(metric=metric),
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"])
def test_a_metric_of_numbers_does_not_fit_classes(metric: str) -> None:
    with pytest.raises(ValidationError, match=f"gate.metric is '{metric}', which compares numbers, but kind is 'class"):
        orchard("classification", metric)
    assert orchard("regression", metric).gate.metric == metric


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "f1_macro", "neg_log_loss"])
def test_a_metric_of_classes_does_not_fit_numbers(metric: str) -> None:
    with pytest.raises(ValidationError, match=f"gate.metric is '{metric}', which compares classes, but kind is 'regr"):
        orchard("regression", metric)
    assert orchard("classification", metric).gate.metric == metric


def test_every_scorer_of_scikit_learn_is_known_by_what_it_compares() -> None:
    """A scorer that a new release of scikit-learn brings has to be told apart, too."""
    homes = {name: vars(get_scorer(name))["_score_func"].__module__.rpartition(".")[2] for name in get_scorer_names()}
    assert {name for name, home in homes.items() if home == "_regression"} == NUMBER_METRICS
    assert {name for name, home in homes.items() if home in ("_classification", "_ranking", "_scorer")} == CLASS_METRICS
