"""Models with a real run in MLflow each, for the tests of what keeps order there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from tasks.mlflow_store import experiment_of, open_mlflow


def with_runs(evidence: Callable[..., Any]) -> Callable[..., Any]:
    """Has the models of `evidence` trained in runs that MLflow knows, one for each run key."""

    @cache
    def run_of(run_key: str) -> str:
        client = open_mlflow()
        run = client.create_run(experiment_of(client, "rentals"), tags={"refit.run_key": run_key})
        client.log_text(run.info.run_id, run_key, "recipe.txt")
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def make(run_key: str = "key", *, promote: bool = True) -> Any:
        model, *others = evidence(run_key, promote=promote)
        return replace(model, run_id=run_of(run_key)), *others

    return make
