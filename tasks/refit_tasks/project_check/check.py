"""The check of a project on its newest rows, which finds mistakes before a scheduled run does.

Nothing is recorded: the project's table, the ledger and MLflow are not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator

from refit.data.casting import cast_table
from refit.data.chunks import FRAMES, split_frame
from refit.data.schema import unify_schemas
from refit.errors import LoadFailed, NotEnoughData, ProjectError
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import fit_seeded
from refit.modelling.scoring import primary_metric, score
from refit.project import Project, Rows
from refit.windows import BEGINNING, Window, format_time
from refit_tasks.project_code.errors import describe_project_error
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_store import load_model, save_model
from refit_tasks.storage.snapshot_rows import to_frame
from refit_tasks.storage.staging import staging_area
from refit_tasks.training.fit import select_training_features
from refit_tasks.validation.great_expectations import read_rules

_FIT_ROWS = 2_000
"""The number of newest labelled rows that the estimator is fitted on."""
_LOOKBACKS = (timedelta(days=30), timedelta(days=365), None)
"""The spans that are loaded one after the other until there are enough rows; `None` loads everything."""
_MAX_LOADED = 50_000
"""The number of rows after which a load is not asked for more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    passed: bool
    sentence: str
    """The finding, or the error with its place."""


def check(definition: Project, as_of: datetime) -> tuple[Check, ...]:
    """Checks each step of a project once: load, build, fit, predict and store among them.

    Args:
        definition: The project.
        as_of: The end of the loaded rows, UTC.

    Returns:
        The checks in a fixed order, with `notifications` if the project has blocks for them. A check that needs a
        failed one is skipped and counts as failed.
    """
    trial = _CheckRun(definition, as_of)
    checks: dict[str, Check] = {}
    steps = {**_CHECKS, **({"notifications": ()} if definition.notifications.blocks else {})}
    for name, needs in steps.items():
        lacking = [need for need in needs if not checks[need].passed]
        checks[name] = _skip_check(name, lacking[0]) if lacking else _run_check(trial, name)
        with_project(log, definition.name).info("checked %s", name)
    return tuple(checks.values())


def _skip_check(name: str, lacking: str) -> Check:
    return Check(name, passed=False, sentence=f"skipped because {lacking} failed")


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
    "build": (),
    "metric": (),
    "fit": ("columns", "build"),
    "predict": ("fit", "metric"),
    "store": ("fit",),
}
"""The checks in their order, each with the checks that it needs."""


@dataclass(slots=True)
class _CheckRun:
    """The state of a check run: one method per check, which stores what later checks need."""

    definition: Project
    as_of: datetime
    pieces: list[pa.Table] = field(init=False)
    schema: pa.Schema = field(init=False)
    rows: pd.DataFrame = field(init=False)
    estimator: BaseEstimator = field(init=False)
    X: pd.DataFrame = field(init=False)
    predictions: Predictions = field(init=False)

    def load(self) -> str:
        self.pieces = load_sample(self.definition, self.as_of, _FIT_ROWS)
        return f"{sum(piece.num_rows for piece in self.pieces):,} rows from before {format_time(self.as_of)}"

    def columns(self) -> str:
        self.schema = unify_schemas([piece.schema for piece in self.pieces], self.definition)
        rows = cast_as_stored(self.definition, self.pieces, self.schema)
        self.rows = rows.dropna(subset=[self.definition.target]).tail(_FIT_ROWS)
        if self.rows.empty:
            raise NotEnoughData(
                f"none of {len(rows):,} rows has a label in {self.definition.target!r}: correct the load"
            )
        return f"{len(rows.columns)} columns, of which {len(self.features)} features: {', '.join(self.features)}"

    def contract(self) -> str:
        if self.definition.expectations is None:
            return "the project has no expectations: its contract will be derived from the first rows"
        rules = read_rules(self.definition, self.definition.expectations, self.schema)
        return f"expectations() returns {len(rules)} rules, all about existing columns"

    def build(self) -> str:
        self.estimator = self.definition.build()
        if not isinstance(self.estimator, BaseEstimator):
            raise ProjectError(f"build() returns {self.estimator!r:.80}: return an unfitted scikit-learn estimator")
        return f"build() returns a {type(self.estimator).__name__}"

    def metric(self) -> str:
        return f"scikit-learn has the scorer {primary_metric(self.definition, ())}"

    def fit(self) -> str:
        self.X = select_training_features(self.definition, self.rows)
        target, seed = self.rows[self.definition.target], self.definition.training.seed
        model = fit_seeded(self.estimator, self.X, target, seed)
        self.predictions = predict_once(model, self.X)
        return f"fitted on {len(self.X):,} rows"

    def predict(self) -> str:
        labels = self.rows[self.definition.target]
        metric = primary_metric(self.definition, labels.unique())
        return f"{metric} is {score(metric, self.predictions, labels):.4g} on the rows it was fitted on"

    def store(self) -> str:
        with staging_area(self.definition.name) as directory:
            save_model(self.predictions.model, directory / "model")
            model = load_model(directory / "model", self.definition.trusted_types)
            size = sum(file.stat().st_size for file in (directory / "model").iterdir())
        if not np.array_equal(self.predictions.compute("predict"), predict_once(model, self.X).compute("predict")):
            raise ProjectError("the loaded model gives other predictions than the fitted one: store all of its state")
        return f"stored as {size / 1e6:.1f} MB and loaded again with the same predictions"

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
    def features(self) -> list[str]:
        return self.definition.features_of(self.rows.columns)


def load_sample(definition: Project, as_of: datetime, labelled: int) -> list[pa.Table]:
    """Loads rows before a time from longer and longer spans, until enough of them have a label.

    Args:
        definition: The project.
        as_of: The end of each loaded window, UTC.
        labelled: The number of labelled rows that is enough.

    Returns:
        The pieces as loaded, some 50,000 rows at most.

    Raises:
        NotEnoughData: If the load returns no row.
        LoadFailed: If the load returns something other than frames.
    """
    pieces: list[pa.Table] = []
    for span in _LOOKBACKS:
        pieces = _load_at_most(definition.load(Window(as_of - span if span else BEGINNING, as_of)))
        if sum(_count_labels(piece, definition.target) for piece in pieces) >= labelled:
            break
    if not pieces:
        raise NotEnoughData(f"the load returns no rows before {format_time(as_of)}: correct it, or give a later time")
    return pieces


def cast_as_stored(definition: Project, pieces: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    """Converts loaded rows to what would be read back from the project's table, sorted by event time.

    Args:
        definition: The project.
        pieces: The rows as loaded.
        schema: The table's schema.

    Returns:
        The rows with an event time; cells that cannot be cast to their column are missing.
    """
    rows = to_frame(pa.concat_tables([cast_table(piece, schema)[0] for piece in pieces]))
    return rows.dropna(subset=[definition.timestamp]).sort_values(definition.timestamp, ignore_index=True)


def _load_at_most(rows: Rows) -> list[pa.Table]:
    pieces: list[pa.Table] = []
    for given in [rows] if isinstance(rows, FRAMES) or not isinstance(rows, Iterable) else rows:
        if not isinstance(given, FRAMES):
            raise LoadFailed(f"load() returns a {type(given).__name__}: return a frame, or an iterator of frames")
        pieces += islice(split_frame(given, _MAX_LOADED), 1)
        if sum(piece.num_rows for piece in pieces) >= _MAX_LOADED:
            break
    return pieces


def _count_labels(piece: pa.Table, target: str) -> int:
    if target not in piece.column_names:
        return 0
    column = piece[target]
    return len(column) - int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)
