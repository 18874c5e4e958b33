"""The rehearsal: a stored model answers in a fresh process, as it would when it serves, before it may.

The process of the room in which models rehearse: started when it is first needed, ended with its owner.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
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
from refit.records.references import ModelRef, SnapshotRef
from refit_tasks.evaluation.evaluate import read_rows_by_time
from refit_tasks.evaluation.sandbox_rows import largest_difference, make_variants, without_objects, write_frame
from refit_tasks.evaluation.sandbox_worker import METHODS, TIMED_OUT, SandboxJob
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_signature import fetch_files, read_feature_kinds
from refit_tasks.registry.model_store import load_model
from refit_tasks.registry.own_code import has_own_types

log = logging.getLogger(__name__)

MAX_SECONDS = 120.0
"""A model that takes longer to load and to answer some thousand rows would serve nobody."""

_MISSING_COLUMN = "missing column"
_UNSEEN_CATEGORY = "unseen category"


@define_task("rehearse {definition.name}")
def check_serving_on_holdout(definition: Project, model: ModelRef, holdout: SnapshotRef) -> SandboxRun:
    """Has a stored model answer to the holdout in a fresh process, and holds the answers against those given here.

    Args:
        definition: The project.
        model: The model, in MLflow.
        holdout: The rows.

    Returns:
        What came of it; a model that does not serve there is an outcome, too.

    Raises:
        ModelError: If the artifact is gone.
    """
    return check_serving_on_rows(definition, model, read_rows_by_time(definition, holdout))


def check_serving_on_rows(definition: Project, model: ModelRef, rows: pd.DataFrame) -> SandboxRun:
    """Does the same with rows that are at hand.

    Args:
        definition: The project.
        model: The model, in MLflow.
        rows: The holdout's rows with all columns.

    Returns:
        What came of it.

    Raises:
        ModelError: If the artifact is gone.
    """
    with fetch_files(model) as directory:
        found = check_serving_of_directory(definition, directory, rows)
    took = f"{found.latency_ms:.1f} ms a row" if found.latency_ms is not None else found.fault
    with_project(log, definition.name).info("rehearsed in a fresh process: %s", took)
    return found


def check_serving_of_directory(definition: Project, directory: Path, rows: pd.DataFrame) -> SandboxRun:
    """Does the same with a model in a directory.

    Args:
        definition: The project, for its trusted types.
        directory: Where the model was stored.
        rows: The holdout's rows with all columns.

    Returns:
        What came of it.
    """
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    try:
        model = load_model(directory, definition.trusted_types)
        expected = predict_holdout(definition, Candidate("the challenger", model, _NO_SNAPSHOT), rows)
    except ModelError as fault:
        return SandboxRun(len(rows), None, (), None, None, size, fault=str(fault))
    features = expected.rows
    kinds = read_feature_kinds(directory) or feature_kinds(features)
    with tempfile.TemporaryDirectory() as scratch:
        write_frame(features, Path(scratch) / "rows.arrow")
        job = SandboxJob(
            directory=str(directory),
            trusted_types=definition.trusted_types,
            project_file=str(definition.file) if has_own_types(definition) else None,
            rows=str(Path(scratch) / "rows.arrow"),
            results=scratch,
            kinds=dict(kinds),
            seconds=MAX_SECONDS,
        )
        found = _run_in_sandbox(job)
        if "fault" in found:
            return SandboxRun(len(rows), None, (), None, None, size, fault=found["fault"])
        return _summarize(expected, kinds, found, Path(scratch), size)


_NO_SNAPSHOT: Any = None
"""What a model was trained on does not matter here."""


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


def fingerprint_predictions(answers: Predictions) -> str:
    """Hashes what a model says of rows.

    Args:
        answers: Its answers.

    Returns:
        SHA-256 of its probabilities, else of its predictions, in hexadecimal.
    """
    said = without_objects(answers.compute_raw(answers.finest_method))
    return hashlib.sha256(np.ascontiguousarray(said).tobytes()).hexdigest()


def _case(
    name: str,
    refusal: str | None,
    results: Path,
    here: dict[str, Any],
    expected: Predictions,
    kinds: Mapping[str, str],
) -> Case:
    if name == _MISSING_COLUMN:
        return Case(name, refusal is not None, refusal or "it answers all the same, as if nothing were missing")
    if name == _UNSEEN_CATEGORY:
        return _compare_with_local(name, refusal, results, expected, kinds)
    if refusal:
        return Case(name, passed=False, sentence=f"it refuses: {refusal}")
    difference = largest_difference(results, name, here)
    passed = difference <= AGREEMENT
    return Case(name, passed, "the same answers" if passed else f"answers differ by up to {difference:.3g}")


def _compare_with_local(
    name: str, refusal: str | None, results: Path, expected: Predictions, kinds: Mapping[str, str]
) -> Case:
    """Holds the case against what the judging process says to the same rows."""
    asked = dict(make_variants(expected.rows))[name]
    try:
        methods = [method for method in METHODS if hasattr(expected, method)]
        here = {method: without_objects(predict_rows(expected.model, kinds, asked, method)) for method in methods}
    except ModelError as fault:
        return Case(name, refusal is not None, f"it refuses: {fault}" if refusal else "it answers, and not so here")
    if refusal:
        return Case(name, passed=False, sentence=f"it refuses, and not so here: {refusal}")
    passed = largest_difference(results, name, here) <= AGREEMENT
    return Case(name, passed, "it answers, as it does here" if passed else "its answers are others than here")


def _run_in_sandbox(job: SandboxJob) -> dict[str, Any]:
    code, found = SANDBOX.run(job), Path(job.results) / "found.json"
    if code == 0 and found.exists():
        told: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return told
    if code == TIMED_OUT:
        return {"fault": f"it had not answered after {job.seconds:g} s"}
    return {"fault": "the process died" if code is None else f"the process ended with code {code}"}


_START = "from refit_tasks.evaluation.sandbox_worker import serve; serve()"


class Sandbox:
    """One process for all rehearsals of this one, which take turns."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The process, where it has been started."""
        return self._process.pid if self._process else None

    def run(self, job: SandboxJob) -> int | None:
        """Has a model rehearse in a fresh process of the room.

        Args:
            job: What to rehearse.

        Returns:
            The exit code of the fresh process; `None` where the room itself died. The next rehearsal starts another.
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
        """Ends the process by closing what it reads from."""
        if self._process and self._owner == os.getpid():
            self._process.communicate()
            self._process = None

    def _open(self) -> subprocess.Popen[str]:
        # A process that was forked from one with a room shares its pipes, and must not use them.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, and words of ours
                [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._owner = os.getpid()
        return self._process


def _exchange_lines(process: subprocess.Popen[str], line: str) -> str:
    """Sends one line and gives the one that comes back; nothing where the process is gone."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


SANDBOX = Sandbox()
"""The room of this process."""
atexit.register(SANDBOX.close)
