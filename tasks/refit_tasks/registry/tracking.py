"""Tracking of a training in MLflow: one run with its parameters, inputs, lineage and metrics."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from refit.gate.evaluations import Comparison
from refit.records.references import ModelRef, SnapshotRef
from refit.records.verdicts import Verdict
from refit_infra.settings import Settings
from refit_tasks.registry.mlflow_client import open_mlflow, verdict_tags
from refit_tasks.registry.model_signature import logged_model_id
from refit_tasks.registry.unfinished_runs import close_training, find_open_trainings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelOutput, Metric, Run

RUN_KEY = "refit.run_key"
"""The tag with the run key, by which a run is found again."""
MODEL_HASH = "refit.model_sha256"
"""The tag with the hash of the model's files."""
TRAINED_ON = "refit.trained_on"
"""The tag with the reference to the training rows, as JSON."""

_MAX_PARAMETER = 250
"""Characters of a parameter's value; longer ones, of nested estimators and lists, are left out."""

_INVALID_CHARACTERS = re.compile(r"[^\w.\- ]")
"""Characters that MLflow refuses in a parameter's name, and that names of pipeline steps may have."""

_reference = TypeAdapter(SnapshotRef)


class TrackedRun(NamedTuple):
    """A run that is open for writing."""

    client: MlflowClient
    experiment: str
    """The id of the project's experiment."""
    id: str


def find_trained_model(client: MlflowClient, experiment: str, project: str, key: str) -> ModelRef | None:
    """Finds the model that a finished run trained, and closes the runs of killed processes.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.
        project: The project's name.
        key: The run key.

    Returns:
        The model; `None` if it is not trained yet.
    """
    for run in find_open_trainings(client, experiment):  # trainings and trials of any rows
        close_training(client, run)
    runs = client.search_runs([experiment], f"tags.`{RUN_KEY}` = '{key}'", order_by=["attributes.start_time ASC"])
    finished = [run for run in runs if run.info.status == "FINISHED"]
    return _read_model(finished[0], project, key) if finished else None


def _model_outputs(run: Run) -> list[LoggedModelOutput]:
    return run.outputs.model_outputs if run.outputs else []


def _read_model(run: Run, project: str, key: str) -> ModelRef:
    uri = f"models:/{_model_outputs(run)[0].model_id}"
    rows = _reference.validate_json(run.data.tags[TRAINED_ON])
    return ModelRef(project, run.info.run_id, uri, rows, key, run.data.tags.get(MODEL_HASH, ""))


@contextmanager
def open_run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
    """Opens a run that ends as `FINISHED`, or as `FAILED` after an exception.

    Args:
        client: The MLflow client.
        experiment: The id of the project's experiment.
        name: The name of the run.
        tags: The tags of the run.

    Yields:
        The run.
    """
    run_id = client.create_run(experiment, tags=dict(tags), run_name=name).info.run_id
    status = "FAILED"
    try:
        yield TrackedRun(client, experiment, run_id)
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def log_values(
    run: TrackedRun,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Logs parameters, metrics and tags in one request.

    Args:
        run: The run.
        params: Parameters by name; those with long values are left out.
        metrics: Metrics by name.
        tags: Tags by name.
    """
    from mlflow.entities import Param, RunTag

    texts = {_INVALID_CHARACTERS.sub("_", name)[:_MAX_PARAMETER]: str(value) for name, value in (params or {}).items()}
    run.client.log_batch(
        run.id,
        metrics=[_metric(name, value) for name, value in (metrics or {}).items()],
        params=[Param(name, text) for name, text in texts.items() if len(text) <= _MAX_PARAMETER],
        tags=[RunTag(name, text) for name, text in (tags or {}).items()],
    )


def _metric(name: str, value: float) -> Metric:
    from mlflow.entities import Metric

    return Metric(name, value, int(time.time() * 1000), 0)


def log_rows(run: TrackedRun, rows: SnapshotRef, use: str) -> None:
    """Logs rows as an input of a run, with Refit's fingerprint: MLflow's digest covers the first 10,000 rows only.

    Args:
        run: The run.
        rows: The rows.
        use: `training` or `holdout`.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = {"path": f"{Settings().tables}/{rows.project}", "delta_table_version": rows.version}
    profile = {"num_rows": rows.rows, "start": rows.window.start.isoformat(), "end": rows.window.end.isoformat()}
    dataset = Dataset(rows.project, rows.fingerprint, "delta_table", json.dumps(source), profile=json.dumps(profile))
    run.client.log_inputs(run.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", use)])])


def log_evaluation(model: ModelRef, comparison: Comparison, verdict: Verdict) -> None:
    """Adds the scores on the holdout and the verdict to a training run.

    Args:
        model: The model.
        comparison: The scores of the model, the baseline and the champion.
        verdict: The verdict of the gate.
    """
    client = open_mlflow()
    run = TrackedRun(client, client.get_run(model.run_id).info.experiment_id, model.run_id)
    run.client.log_batch(run.id, metrics=_scores(model, comparison), tags=[])
    gate = {f"gate_{reason.check}": reason.value for reason in verdict.reasons if reason.value is not None}
    log_values(
        run, metrics={name: value for name, value in gate.items() if isfinite(value)}, tags=verdict_tags(verdict)
    )
    log_rows(run, comparison.holdout, "holdout")


def _scores(model: ModelRef, comparison: Comparison) -> list[Metric]:
    """Makes the metrics; the model's own score is linked to model and rows, so that MLflow shows it on both pages."""
    from mlflow.entities import Metric

    holdout, stored = comparison.holdout, logged_model_id(model)
    own = _metric(f"holdout_{comparison.metric}", comparison.challenger.value)
    if stored:
        tied = (stored, holdout.project, holdout.fingerprint, model.run_id)
        own = Metric(own.key, own.value, own.timestamp, own.step, *tied)
    others = {"baseline": comparison.baseline, "champion": comparison.champion}
    return [own, *(_metric(f"{who}_{comparison.metric}", one.value) for who, one in others.items() if one)]


def reference_json(rows: SnapshotRef) -> str:
    """Serializes a reference for a tag.

    Args:
        rows: The reference.

    Returns:
        JSON.
    """
    return _reference.dump_json(rows).decode()
