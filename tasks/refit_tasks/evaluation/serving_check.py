"""Serving check: a stored model must give the same predictions in a fresh process before it may serve.

The sandbox that runs it is one process per owner, started at the first check and ended with its owner.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from refit.errors import ModelError
from refit.gate.comparison import Candidate, predict_holdout
from refit.gate.evidence import Case, SandboxRun
from refit.gate.serving_parity import AGREEMENT
from refit.inference.feature_schema import feature_kinds, predict_rows
from refit.modelling.predictions import Predictions
from refit.project import Project
from refit.records.references import ModelRef
from refit_tasks.evaluation.sandbox_rows import largest_difference, make_variants, without_objects, write_frame
from refit_tasks.evaluation.sandbox_worker import METHODS, TIMED_OUT, SandboxJob
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_signature import fetch_files, read_feature_kinds
from refit_tasks.registry.model_store import load_model
from refit_tasks.registry.own_code import has_own_types
from refit_tasks.scratch import scratch_area

log = logging.getLogger(__name__)

MAX_SECONDS = 120.0
"""The time limit of one serving check."""

_MISSING_COLUMN = "missing column"
"""The variant that a model must reject."""
_UNSEEN_CATEGORY = "unseen category"
"""The variant that a model may reject, if it does so in this process, too."""
_NO_SNAPSHOT: Any = None
"""The training rows of a candidate whose predictions alone matter."""
_START = "from refit_tasks.evaluation.sandbox_worker import serve; serve()"


def check_serving_on_rows(definition: Project, model: ModelRef, rows: pd.DataFrame) -> SandboxRun:
    """Runs the serving check of a model in MLflow on rows that are loaded already.

    Args:
        definition: The project.
        model: The model, in MLflow.
        rows: The rows of the holdout, with all columns.

    Returns:
        The result.

    Raises:
        ModelError: If the model's files are missing from MLflow.
    """
    with fetch_files(model) as directory:
        found = check_serving_of_directory(definition, directory, rows)
    result = f"{found.latency_ms:.1f} ms per row" if found.latency_ms is not None else found.fault
    with_project(log, definition.name).info("serving check in a fresh process: %s", result)
    return found


def check_serving_of_directory(definition: Project, directory: Path, rows: pd.DataFrame) -> SandboxRun:
    """Runs the serving check of a model in a directory.

    Args:
        definition: The project, for its trusted types.
        directory: The directory of the stored model.
        rows: The rows of the holdout, with all columns.

    Returns:
        The result.
    """
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    try:
        model = load_model(directory, definition.trusted_types)
        expected = predict_holdout(definition, Candidate("the challenger", model, _NO_SNAPSHOT), rows)
    except ModelError as fault:
        return SandboxRun(len(rows), None, (), None, None, size, fault=str(fault))
    features = expected.rows
    kinds = read_feature_kinds(directory) or feature_kinds(features)
    with scratch_area(definition.name) as scratch:
        write_frame(features, scratch / "rows.arrow")
        job = SandboxJob(
            directory=str(directory),
            trusted_types=definition.trusted_types,
            project_file=str(definition.file) if has_own_types(definition) else None,
            rows=str(scratch / "rows.arrow"),
            results=str(scratch),
            kinds=dict(kinds),
            seconds=MAX_SECONDS,
        )
        found = _run_in_sandbox(job)
        if "fault" in found:
            return SandboxRun(len(rows), None, (), None, None, size, fault=found["fault"])
        return _summarize(expected, kinds, found, scratch, size)


def _summarize(
    expected: Predictions, kinds: Mapping[str, str], found: dict[str, Any], results: Path, size: int
) -> SandboxRun:
    refusals, methods = found["refusals"], found["methods"]
    here = {method: without_objects(expected.compute_raw(method)) for method in methods}
    difference = None if refusals["as they are"] else largest_difference(results, "as they are", here)
    cases = tuple(
        _case(name, refusal, results, here, expected, kinds)
        for name, refusal in refusals.items()
        if name != "as they are"
    )
    if refusals["as they are"]:
        cases = (Case("the rows as they are", passed=False, sentence=refusals["as they are"]),)
    return SandboxRun(
        rows=len(expected),
        difference=difference,
        cases=cases,
        load_seconds=found["load_seconds"],
        latency_ms=found["latency_ms"],
        size_bytes=size,
        fingerprint=fingerprint_predictions(expected),
    )


def fingerprint_predictions(predictions: Predictions) -> str:
    """Hashes a model's predictions for some rows.

    Args:
        predictions: The predictions.

    Returns:
        The SHA-256 of the probabilities, or of the predicted values where there are none, in hexadecimal.
    """
    values = without_objects(predictions.compute_raw(predictions.finest_method))
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _case(
    name: str,
    refusal: str | None,
    results: Path,
    here: dict[str, Any],
    expected: Predictions,
    kinds: Mapping[str, str],
) -> Case:
    if name == _MISSING_COLUMN:
        return Case(name, refusal is not None, refusal or "the model predicts although a feature is missing")
    if name == _UNSEEN_CATEGORY:
        return _compare_with_local(name, refusal, results, expected, kinds)
    if refusal:
        return Case(name, passed=False, sentence=f"the model fails: {refusal}")
    difference = largest_difference(results, name, here)
    passed = difference <= AGREEMENT
    return Case(name, passed, "the same predictions" if passed else f"predictions differ by up to {difference:.3g}")


def _compare_with_local(
    name: str, refusal: str | None, results: Path, expected: Predictions, kinds: Mapping[str, str]
) -> Case:
    """Compares the sandbox's result for a variant with this process's result for the same rows."""
    variant = dict(make_variants(expected.rows))[name]
    try:
        methods = [method for method in METHODS if hasattr(expected, method)]
        here = {method: without_objects(predict_rows(expected.model, kinds, variant, method)) for method in methods}
    except ModelError as fault:
        both, one = f"the model fails in both processes: {fault}", f"the model fails in the training process: {fault}"
        return Case(name, refusal is not None, both if refusal else one)
    if refusal:
        return Case(name, passed=False, sentence=f"the model fails in the fresh process alone: {refusal}")
    passed = largest_difference(results, name, here) <= AGREEMENT
    return Case(name, passed, "the same predictions" if passed else "predictions differ between the two processes")


def _run_in_sandbox(job: SandboxJob) -> dict[str, Any]:
    code, found = SANDBOX.run(job), Path(job.results) / "found.json"
    if code == 0 and found.exists():
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return result
    if code == TIMED_OUT:
        return {"fault": f"the model did not finish within {job.seconds:g} s"}
    return {"fault": "the process died" if code is None else f"the process ended with code {code}"}


class Sandbox:
    """The sandbox process of this process; it runs one job at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The process id, or `None` before the first job."""
        return self._process.pid if self._process else None

    def run(self, job: SandboxJob) -> int | None:
        """Runs a job in a child of the sandbox process.

        Args:
            job: The job.

        Returns:
            The exit code of the child; `None` if the sandbox process died. The next job starts another one.
        """
        with self._lock:
            process = self._open()
            line = _exchange_lines(process, json.dumps(asdict(job)) + "\n")
            if not line:
                self._process = None
                process.kill()
                process.communicate()
            return int(line) if line else None

    def close(self) -> None:
        """Ends the sandbox process by closing its standard input."""
        if self._process and self._owner == os.getpid():
            self._process.communicate()
            self._process = None

    def _open(self) -> subprocess.Popen[str]:
        # A process forked from the owner shares the pipes and must not use them.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with constant arguments
                [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._owner = os.getpid()
        return self._process


def _exchange_lines(process: subprocess.Popen[str], line: str) -> str:
    """Sends a line and returns the line that comes back; empty if the process is gone."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


SANDBOX = Sandbox()
"""The sandbox of this process."""
atexit.register(SANDBOX.close)
