"""Models with a real run in MLflow each, for the tests of what keeps order there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from refit.records.references import Challenger
from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment

AT = datetime(2026, 3, 1, tzinfo=UTC)
"""When the models of `Judge` are judged."""
BEGUN = datetime(2026, 2, 28, tzinfo=UTC)
"""A day before they are judged."""

Judge = Callable[..., Challenger]
"""Registers a model under a run key: the fixture `judge` of the tests of tasks."""


def with_runs(evidence: Callable[..., Any]) -> Callable[..., Any]:
    """Has the models of `evidence` trained in runs that MLflow knows, one for each run key."""

    @cache
    def run_of(run_key: str) -> str:
        client = open_mlflow()
        start, tags = int(BEGUN.timestamp() * 1000), {"refit.run_key": run_key}
        run = client.create_run(require_experiment(client, "rentals"), start, tags)
        client.log_text(run.info.run_id, run_key, "recipe.txt")
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def make(run_key: str = "key", *, promote: bool = True) -> Any:
        model, *others = evidence(run_key, promote=promote)
        return replace(model, run_id=run_of(run_key)), *others

    return make
