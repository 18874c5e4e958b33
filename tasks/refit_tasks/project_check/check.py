"""The check of a project on its newest rows, which finds mistakes before a scheduled run does.

Nothing is recorded: the project's table, the ledger and MLflow are not touched.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from refit.errors import ModelError, NotEnoughData, ProjectError
from refit.gate.comparison import Candidate, HoldoutData, compare_on_holdout
from refit.gate.decide import check_serving, decide
from refit.gate.evidence import SandboxRun
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import fit_seeded
from refit.modelling.scoring import primary_metric
from refit.project import Project
from refit.records.verdicts import Reason, format_score
from refit.windows import BEGINNING, Window, format_time
from refit_tasks.evaluation.serving_check import check_serving_of_directory
from refit_tasks.ingestion.batch import resolve_schema
from refit_tasks.ingestion.column_types import expect_schema
from refit_tasks.ingestion.row_filter import RowFilter
from refit_tasks.project_check.contract import judge_sample
from refit_tasks.project_check.overlap import compare_loads
from refit_tasks.project_check.sample import (
    FIT_ROWS,
    MAX_LOADED,
    Sample,
    SplitRows,
    choose_fit_rows,
    load_sample,
    split_sample,
)
from refit_tasks.project_code.errors import describe_project_error
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_store import load_model, write_logged_model
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.staging import staging_area
from refit_tasks.training.fit import select_training_features
from refit_tasks.training.tuning import read_default_params, split_trial_rows

_ESTIMATOR_METHODS = ("fit", "get_params", "set_params")
"""The methods by which an estimator is recognised: CatBoost's have those of scikit-learn without being of its class."""
_TIMES = {"latency", "load_time"}
"""The rules of the gate that a busy machine breaks; what breaks them is measured once more."""
_SHOWN_FEATURES = 20
"""The number of features that are named."""
_SIGNATURE_ROWS = 100
"""The number of rows that the model's signature is inferred from."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    passed: bool
    sentence: str
    """The finding, or the error with its place."""
    seconds: float = 0.0
    """How long the check took; 0 if it was skipped."""


def check(definition: Project, as_of: datetime) -> tuple[Check, ...]:
    """Checks each step of a project once: load, build, fit, predict and store among them.

    Args:
        definition: The project.
        as_of: The end of the loaded rows, UTC.

    Returns:
        The checks in a fixed order, with `notifications` if the project has blocks for them. A check that needs a
        failed one is skipped and counts as failed.
    """
    checks: dict[str, Check] = {}
    steps = {**_CHECKS, **({"notifications": ()} if definition.notifications.blocks else {})}
    with staging_area(definition.name) as area:
        trial = _CheckRun(definition, as_of, area)
        for name, needs in steps.items():
            lacking = [need for need in needs if not checks[need].passed]
            checks[name] = _skip_check(name, lacking[0]) if lacking else _time_check(trial, name)
            with_project(log, definition.name).info("checked %s", name)
    return tuple(checks.values())


def _skip_check(name: str, lacking: str) -> Check:
    return Check(name, passed=False, sentence=f"skipped because {lacking} failed")


def _time_check(trial: _CheckRun, name: str) -> Check:
    start = perf_counter()
    found = _run_check(trial, name)
    return replace(found, seconds=perf_counter() - start)


def _run_check(trial: _CheckRun, name: str) -> Check:
    try:
        return Check(name, passed=True, sentence=getattr(trial, name)())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a project's code may raise anything
        return Check(
            name, passed=False, sentence=describe_project_error(error, trial.definition.file, trial.definition.pii)
        )


_CHECKS: dict[str, tuple[str, ...]] = {
    "load": (),
    "columns": ("load",),
    "contract": ("columns",),
    "overlap": ("contract",),
    "split": ("contract",),
    "build": (),
    "metric": (),
    "fit": ("split", "build"),
    "predict": ("fit", "metric"),
    "store": ("fit",),
    "serve": ("store",),
}
"""The checks in their order, each with the checks that it needs."""


@dataclass(slots=True)
class _CheckRun:
    """The state of a check run: one method per check, which stores what later checks need."""

    definition: Project
    as_of: datetime
    area: Path
    sample: Sample = field(init=False)
    rows: RowFilter = field(init=False)
    parts: SplitRows = field(init=False)
    estimator: BaseEstimator = field(init=False)
    X: pd.DataFrame = field(init=False)
    predictions: Predictions = field(init=False)

    def load(self) -> str:
        self.sample = load_sample(self.definition, self.as_of, self.area)
        extent = "all rows" if self.sample.whole else "the newest rows"
        return f"{self.sample.raw.rows:,} rows, {extent} before {format_time(self.as_of)}"

    def columns(self) -> str:
        expected = expect_schema(self.definition, open_table(self.definition.name), self.sample.schemas)
        schema = resolve_schema(self.definition, expected, self.sample.schemas)
        self.rows = RowFilter(self.definition, schema, self.window, self.area)
        self.rows.cast(self.sample.raw)
        features = self.definition.features_of(schema.names)
        more = [f"{len(features) - _SHOWN_FEATURES:,} more"] if len(features) > _SHOWN_FEATURES else []
        named = ", ".join([*features[:_SHOWN_FEATURES], *more])
        return f"{len(schema):,} columns, of which {len(features):,} features: {named}"

    def contract(self) -> str:
        ingested = open_table(self.definition.name) is not None
        found = judge_sample(self.definition, self.rows, self.window, ingested=ingested, whole=self.sample.whole)
        if not self.rows.accepted_rows:
            raise NotEnoughData(f"no row is accepted ({found}): correct the load")
        return found

    def overlap(self) -> str:
        (area := self.area / "again").mkdir()
        return compare_loads(self.definition, pa.concat_tables(self.rows.accepted()), self.as_of, area, MAX_LOADED)

    def split(self) -> str:
        self.parts = split_sample(self.definition, self.rows.accepted(), self.as_of, whole=self.sample.whole)
        train, holdout = self.parts.refs.train, self.parts.refs.holdout
        return f"{train.rows:,} rows to train on, {holdout.rows:,} held out from {format_time(holdout.window.start)} on"

    def build(self) -> str:
        self.estimator = self.definition.build()
        if isinstance(self.estimator, type) or not all(hasattr(self.estimator, name) for name in _ESTIMATOR_METHODS):
            raise ProjectError(f"build() returns {self.estimator!r:.80}: return an unfitted scikit-learn estimator")
        return f"build() returns a {type(self.estimator).__name__}"

    def metric(self) -> str:
        return f"scikit-learn has the scorer {primary_metric(self.definition, ())}"

    def fit(self) -> str:
        training, rows = self.definition.training, choose_fit_rows(self.definition, self.parts.train)
        if training.tuning:
            read_default_params(self.definition, training.tuning)
            if self.sample.whole:
                split_trial_rows(self.definition, self.parts.train)
        self.X = select_training_features(self.definition, rows)
        model = fit_seeded(self.estimator, self.X, rows[self.definition.target], training.seed)
        self.predictions = predict_once(model, self.X)
        return f"fitted on {len(self.X):,} rows"

    def predict(self) -> str:
        refs, train, holdout = self.parts.refs, self.parts.train, self.parts.holdout
        data = HoldoutData(refs.holdout, holdout, train[self.definition.target], train.tail(FIT_ROWS))
        model = Candidate("the fitted model", self.predictions.model, refs.train)
        compared = compare_on_holdout(self.definition, model, None, data)
        failed = [reason for reason in decide(compared, self.definition.gate).reasons if not reason.passed]
        if compared.evidence.answers and compared.evidence.answers.invalid:
            raise ModelError(next(reason.sentence for reason in failed if reason.check == "answers"))
        found = f"{compared.metric} is {format_score(compared.challenger.value)} on {len(holdout):,} unseen rows"
        told = "; ".join(f"{reason.check}: {reason.sentence}" for reason in failed)
        return f"{found}; the gate would reject this model: {told}" if told else found

    def store(self) -> str:
        directory = self.area / "model"
        model = self.predictions.model
        write_logged_model(self.definition, model, self.X.head(_SIGNATURE_ROWS), directory)
        stored = load_model(directory, self.definition.trusted_types)
        size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
        if not np.array_equal(self.predictions.compute("predict"), predict_once(stored, self.X).compute("predict")):
            raise ProjectError("the loaded model gives other predictions than the fitted one: store all of its state")
        return f"stored as {size / 1e6:.1f} MB and loaded again with the same predictions"

    def serve(self) -> str:
        found, failed = self._serve_once()
        if failed and {reason.check for reason in failed} <= _TIMES:  # a machine may be busy for a moment
            found, failed = self._serve_once()
        if failed:
            raise ModelError("; ".join(reason.sentence for reason in failed))
        return f"a fresh process gives the same predictions for {found.rows:,} rows, {found.latency_ms:.3g} ms per row"

    def _serve_once(self) -> tuple[SandboxRun, list[Reason]]:
        found = check_serving_of_directory(self.definition, self.area / "model", self.parts.holdout)
        return found, [reason for reason in check_serving(found, self.definition.gate) if not reason.passed]

    def notifications(self) -> str:
        from prefect.settings import PREFECT_API_URL

        from refit_tasks.notifications.notify import check_block

        blocks = self.definition.notifications.blocks
        if not PREFECT_API_URL.value():
            return f"{', '.join(blocks)} not looked up: PREFECT_API_URL is not set"
        faults = [f"{block}: {fault}" for block in blocks if (fault := check_block(block))]
        if faults:
            raise ProjectError(f"{'; '.join(faults)}: create the block, or remove it from notifications")
        return f"{', '.join(blocks)} can be loaded from the Prefect server"

    @property
    def window(self) -> Window:
        """The event times that a first ingest loads."""
        return Window(min(BEGINNING, self.as_of), self.as_of)
