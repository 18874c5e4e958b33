"""The room in which models rehearse: a process of its own that forks a fresh one for each model.

It is started once and has imported what models need, and nothing else of the process that judges. Only plain values and
files come in and go out. It ends when the process that started it does.
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
"""How many single rows the latency is the median of, and after how much time no further one is asked."""
SINGLE_ROW_COUNT = 3
"""How many rows are asked for one by one, to hold their answers against those of the whole."""
METHODS = ("predict", "predict_proba")
TIMED_OUT = 1_000
"""What stands for the exit code of a process that took too long."""
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
"""What most models need, imported once and not in each fresh process; loading a model that needs more takes longer."""


@dataclass(frozen=True, slots=True)
class SandboxJob:
    """What to rehearse; paths and plain values."""

    directory: str
    """Of the stored model."""
    trusted_types: tuple[str, ...]
    rows: str
    """An Arrow file of the features' rows, as the judging process saw them."""
    results: str
    """Where to write answers: one `.npy` file for each way of asking, and `found.json`."""
    kinds: dict[str, str]
    """The features, as `refit.inference.feature_schema` names them."""
    seconds: float
    """How long the whole may take."""
    project_file: str | None = None
    """The project file, where the model holds types of its own; it is imported before the model is loaded."""
    task: str = "check"
    """What to do: `rehearse`, or make the `form` in which it may serve."""


def serve() -> None:
    """Rehearses one model after the other as job come in on standard input, one JSON object a line.

    Answers with one line each: how the fresh process ended, `0` where all went well.
    """
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
    """Does the work of a fresh process and ends it, whatever happens."""
    _detach_stdio(job.seconds)
    try:
        found = _TASKS[job.task](job)
    except Exception as fault:  # noqa: BLE001 - whatever a stored model does is told, in words
        found = {"fault": describe_error(fault)}
    try:
        (Path(job.results) / "found.json").write_text(json.dumps(found), encoding="utf-8")
    finally:
        os._exit(0)


def _detach_stdio(seconds: float) -> None:
    """Keeps what the model prints out of the room's answers, and ends this process in time even if the room is gone."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds) + 1)


def _wait_for_exit(child: int, deadline: float) -> int:
    """Waits for a process; ends it when its time is over, or when nobody waits for the answer any more."""
    watched = select.poll()
    watched.register(sys.stdin, select.POLLHUP)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        deserted = any(event & select.POLLHUP for _, event in watched.poll(10))
        if deserted or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return TIMED_OUT


def _load(job: SandboxJob) -> BaseEstimator:
    if job.project_file:
        import_project(Path(job.project_file))
    return load_model(Path(job.directory), job.trusted_types)


def measure_serving(job: SandboxJob) -> dict[str, Any]:
    """Loads the model and asks it in every way.

    Args:
        job: What to do.

    Returns:
        Seconds and milliseconds measured, for each way of asking the refusal in words or `None`, and the methods.
    """
    start = time.perf_counter()
    model = _load(job)
    loaded, rows = time.perf_counter() - start, read_frame(Path(job.rows))
    kinds = job.kinds
    methods = [method for method in METHODS if hasattr(model, method)]
    refusals = dict[str, str | None]()
    for name, asked in make_variants(rows):
        refusals[name] = _predict_and_save(model, kinds, asked, methods, Path(job.results) / name)
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
        said = {method: predict_rows(model, kinds, rows, method) for method in methods}
    except RefitError as refused:
        return str(refused)
    for method, answers in said.items():
        np.save(f"{stem}.{method}.npy", without_objects(answers), allow_pickle=False)
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
    except RefitError as refused:
        return str(refused)
    return None


def _median_latency(model: Any, kinds: dict[str, str], rows: pd.DataFrame) -> float:  # noqa: ANN401
    """Gives the median time of a prediction of one row, in milliseconds; the first one, which warms up, is left out."""
    taken, begun = list[float](), time.perf_counter()
    for place in range(LATENCY_CALLS + 1):
        one, start = rows.iloc[[place % len(rows)]], time.perf_counter()
        predict_rows(model, kinds, one, "predict")
        taken.append((time.perf_counter() - start) * 1_000)
        if time.perf_counter() - begun > LATENCY_SECONDS:
            break
    return float(np.median(taken[1:] or taken))
