"""What the tests of tasks share: judged models, and real processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from refit import Project, Window
from refit.gate.evaluations import Comparison, Evaluation, Judgement
from refit.records.references import Challenger, Champion, Ingestion, ModelRef, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from tests.support.processes import Race, racing_in
from tests.support.registered_models import AT, Judge, with_runs


@pytest.fixture
def rentals() -> Project:
    """A project that nothing is loaded for."""
    return Project(
        name="rentals",
        kind="regression",
        target="rentals",
        timestamp="observed_at",
        load=lambda _window: pd.DataFrame(),
        build=DummyRegressor,
        description="Bikes | rented.",
    )


@pytest.fixture
def evidence() -> Callable[..., tuple[ModelRef, Comparison, Verdict, Ingestion]]:
    """Makes a model and its verdict, which says promote unless told otherwise."""

    def make(run_key: str = "key", *, promote: bool = True) -> tuple[ModelRef, Comparison, Verdict, Ingestion]:
        window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
        train = SnapshotRef("rentals", 3, window, 4_000, "f" * 32, labelled=True)
        holdout = SnapshotRef("rentals", 3, Window(window.end, AT), 1_000, "0" * 32, labelled=True)
        model = ModelRef("rentals", f"run-of-{run_key}", f"file:///models/{run_key}", train, run_key)
        blocks = (-1.25, float("nan"), -1.5)
        comparison = Comparison(
            "neg_mean_absolute_error", holdout, Evaluation(-1.3, blocks), Evaluation(-2.0, blocks), None
        )
        verdict = Verdict((Reason("floor", promote, -1.3, -1.4, "the error is 1.3, at most 1.4 is asked for"),))
        return model, comparison, verdict, Ingestion("rentals", window, 3, 5_010, 5_000, 10, 5_000, 0, ("new | town",))

    return make


@pytest.fixture
def judge(mlflow_home: Path, rentals: Project, evidence: Callable[..., Any]) -> Judge:
    """Registers a model under a run key, compared with a champion."""
    from refit_tasks.registry.register import register

    with_run = with_runs(evidence)

    def judged(run_key: str = "key", over: Champion | None = None, *, promote: bool = True) -> Challenger:
        made = evidence(run_key, promote=promote)
        if made[0].run_id.startswith("run-of-"):  # MLflow knows no such run
            made = with_run(run_key, promote=promote)
        model, comparison, verdict, ingestion = made
        judgement = Judgement(model, comparison, rentals.gate, verdict, over, ingestion)
        return register.fn(rentals, judgement, AT)

    return judged


@pytest.fixture
def race(home: Path) -> Race:
    """Runs code in several real processes that start it at the same instant; gives what each has put in `results`."""
    return racing_in(home)
