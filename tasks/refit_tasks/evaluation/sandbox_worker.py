"""The sandbox process of serving checks and ONNX exports, which forks a child for each model.

It starts once, preloads the libraries that models need and shares nothing else with the process that started it: jobs
and results are JSON lines and files. It ends together with its owner.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from refit.errors import RefitError, describe_error
from refit.inference.feature_schema import predict_rows
from refit_tasks.evaluation.sandbox_rows import SINGLE_ROWS, make_variants, read_frame, without_objects
from refit_tasks.project_code.imports import import_project
from refit_tasks.registry.model_store import load_model

LATENCY_CALLS, LATENCY_SECONDS = 20, 3.0
"""The most single-row predictions that the median latency is taken from, and the seconds after which they stop."""
SINGLE_ROW_COUNT = 3
"""The rows that are predicted one at a time, to be compared with their predictions in the batch."""
METHODS = ("predict", "predict_proba")
TIMED_OUT = 1_000
"""The exit code reported for a child that was killed at its deadline."""
PRELOADED_MODULES = (
    "skops.io",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "onnxruntime",
    "skl2onnx",
)
"""The modules that most models need, imported once instead of in each child."""


@dataclass(frozen=True, slots=True)
class SandboxJob:
    """One model and what to do with it, in paths and plain values."""

    directory: str
    """The directory of the stored model."""
    trusted_types: tuple[str, ...]
    """The type names that may be loaded beside those skops trusts."""
    rows: str
    """The Arrow file of the features."""
    results: str
    """The directory for predictions, one `.npy` file per variant and method, and for `found.json`."""
    kinds: dict[str, str]
    """The kind of each feature, as in `refit.inference.feature_schema`."""
    seconds: float
    """The time limit of the job."""
    project_file: str | None = None
    """The project file of a model with project-defined types; it is imported before the model is loaded."""
    task: str = "check"
    """`check` for a serving check, `onnx` to export and verify an ONNX file."""


def serve() -> None:
    """Runs jobs from standard input, one JSON object per line, and writes the exit code of each child as a line."""
    for name in PRELOADED_MODULES:
        importlib.import_module(name)
    while line := sys.stdin.readline():
        job = SandboxJob(**json.loads(line))
        child = os.fork()
        if child == 0:
            _run_and_exit(job)
        sys.stdout.write(f"{_wait_for_exit(child, time.monotonic() + job.seconds)}\n")
        sys.stdout.flush()


def _run_and_exit(job: SandboxJob) -> None:
    """Runs a job in the child and ends the child, whatever happens."""
    _detach_stdio(job.seconds)
    try:
        found = _TASKS[job.task](job)
    except Exception as fault:  # noqa: BLE001 - a stored model may raise anything, and its error is the result
        found = {"fault": describe_error(fault)}
    try:
        (Path(job.results) / "found.json").write_text(json.dumps(found), encoding="utf-8")
    finally:
        os._exit(0)


def _detach_stdio(seconds: float) -> None:
    """Keeps the model's output out of the protocol, and lets an alarm end the child if the sandbox is gone."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds) + 1)


def _wait_for_exit(child: int, deadline: float) -> int:
    """Waits for a child; kills it at its deadline, or when the owner has closed standard input."""
    watched = select.poll()
    watched.register(sys.stdin, select.POLLHUP)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        abandoned = any(event & select.POLLHUP for _, event in watched.poll(10))
        if abandoned or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return TIMED_OUT


def _load(job: SandboxJob) -> BaseEstimator:
    if job.project_file:
        import_project(Path(job.project_file))
    return load_model(Path(job.directory), job.trusted_types)


def measure_serving(job: SandboxJob) -> dict[str, Any]:
    """Loads a stored model, saves its predictions for every variant of the input, and measures its latency.

    Args:
        job: The model and its rows.

    Returns:
        `load_seconds`, `latency_ms`, the `refusals` (from variant to the model's error, or `None`) and the `methods`.
    """
    start = time.perf_counter()
    model = _load(job)
    loaded, rows = time.perf_counter() - start, read_frame(Path(job.rows))
    kinds = job.kinds
    methods = [method for method in METHODS if hasattr(model, method)]
    refusals = dict[str, str | None]()
    for name, variant in make_variants(rows):
        refusals[name] = _predict_and_save(model, kinds, variant, methods, Path(job.results) / name)
    singles = [rows.iloc[[place]] for place in range(min(SINGLE_ROW_COUNT, len(rows)))]
    refusals[SINGLE_ROWS] = _predict_singly_and_save(model, kinds, singles, methods, Path(job.results) / SINGLE_ROWS)
    return {
        "load_seconds": loaded,
        "latency_ms": _median_latency(model, kinds, rows),
        "refusals": refusals,
        "methods": methods,
    }


def _make_onnx_form(job: SandboxJob) -> dict[str, Any]:
    from refit_tasks.onnx_export.verify import verify_form

    model = _load(job)
    return verify_form(model, job.kinds, read_frame(Path(job.rows)), Path(job.results))


_TASKS = {"check": measure_serving, "onnx": _make_onnx_form}


def _predict_and_save(
    model: Any,  # noqa: ANN401
    kinds: dict[str, str],
    rows: pd.DataFrame,
    methods: list[str],
    stem: Path,
) -> str | None:
    try:
        predictions = {method: predict_rows(model, kinds, rows, method) for method in methods}
    except RefitError as refusal:
        return str(refusal)
    for method, values in predictions.items():
        np.save(f"{stem}.{method}.npy", without_objects(values), allow_pickle=False)
    return None


def _predict_singly_and_save(
    model: Any,  # noqa: ANN401
    kinds: dict[str, str],
    singles: list[pd.DataFrame],
    methods: list[str],
    stem: Path,
) -> str | None:
    try:
        for method in methods:
            parts = [without_objects(predict_rows(model, kinds, one, method)) for one in singles]
            np.save(f"{stem}.{method}.npy", np.concatenate(parts), allow_pickle=False)
    except RefitError as refusal:
        return str(refusal)
    return None


def _median_latency(model: Any, kinds: dict[str, str], rows: pd.DataFrame) -> float:  # noqa: ANN401
    """Measures the median time of a single-row prediction in milliseconds, without the first one, which warms up."""
    durations, begun = list[float](), time.perf_counter()
    for place in range(LATENCY_CALLS + 1):
        one, start = rows.iloc[[place % len(rows)]], time.perf_counter()
        predict_rows(model, kinds, one, "predict")
        durations.append((time.perf_counter() - start) * 1_000)
        if time.perf_counter() - begun > LATENCY_SECONDS:
            break
    return float(np.median(durations[1:] or durations))
