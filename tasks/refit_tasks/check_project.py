"""Tries a project out on a few rows, so that what is wrong with it is found before a scheduled run finds it.

Nothing is recorded: no table, no ledger and no MLflow is touched.

A few of a project's newest rows as its table would hold them, without a table.
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
from refit.windows import BEGINNING, Window
from refit_tasks.project_code.errors import describe_project_error
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_store import load_model, save_model
from refit_tasks.storage.snapshot_rows import to_frame
from refit_tasks.storage.staging import staging_area
from refit_tasks.training.fit import select_training_features
from refit_tasks.validation.great_expectations import read_rules

_FIT_ROWS = 2_000
"""How many labelled rows, the newest, the estimator is fitted on."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a project must be able to do, and whether it can."""

    name: str
    passed: bool
    sentence: str
    """What was found, or what is wrong and where."""


def check(definition: Project, as_of: datetime) -> tuple[Check, ...]:
    """Loads, builds, fits, predicts with and stores a project once.

    Args:
        definition: The project.
        as_of: The moment up to which rows are loaded, UTC.

    Returns:
        Every check in a fixed order; one that could not be tried since an earlier one failed has failed too.
        `notifications` is among them where the project names somebody to tell.
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
    return Check(name, passed=False, sentence=f"not tried, since {lacking} failed")


def _run_check(trial: _CheckRun, name: str) -> Check:
    try:
        return Check(name, passed=True, sentence=getattr(trial, name)())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the door to foreign code, which may raise anything
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
"""The checks in their order, each with those it needs."""


@dataclass(slots=True)
class _CheckRun:
    """A project on the bench: one method for each check, which leaves behind what later ones need."""

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
        return f"{sum(piece.num_rows for piece in self.pieces):,} rows from before {self.as_of.isoformat()}"

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
            return "no expectations are given: the contract will be derived from the first rows"
        rules = read_rules(self.definition, self.definition.expectations, self.schema)
        return f"expectations() gives {len(rules)} rules about columns that there are"

    def build(self) -> str:
        self.estimator = self.definition.build()
        if not isinstance(self.estimator, BaseEstimator):
            raise ProjectError(f"build() gives {self.estimator!r:.80}: it must give an unfitted scikit-learn estimator")
        return f"build() gives a {type(self.estimator).__name__}"

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
            raise ProjectError("the model predicts something else once it is stored and loaded: store all of its state")
        return f"stored as {size / 1e6:.1f} MB and loaded again with the same predictions"

    def notifications(self) -> str:
        from prefect.settings import PREFECT_API_URL

        from refit_tasks.notifications.notify import check_block

        blocks = self.definition.notifications.blocks
        if not PREFECT_API_URL.value():
            return f"{', '.join(blocks)} not looked up: PREFECT_API_URL names no Prefect server"
        faults = [f"{block}: {fault}" for block in blocks if (fault := check_block(block))]
        if faults:
            raise ProjectError(f"{'; '.join(faults)}: make the block, or take it out of notifications")
        return f"{', '.join(blocks)} can be loaded from the Prefect server"

    @property
    def features(self) -> list[str]:
        return self.definition.features_of(self.rows.columns)


_LOOKBACKS = (timedelta(days=30), timedelta(days=365), None)
"""How far back to look for rows, one after the other; `None` is to the beginning."""
_MAX_LOADED = 50_000
"""After so many rows no more is asked of a load: the newest come first only where a short span is enough."""


def load_sample(definition: Project, as_of: datetime, labelled: int) -> list[pa.Table]:
    """Loads rows from before a moment, from farther and farther back until enough of them have a label.

    Args:
        definition: The project.
        as_of: The end of every window that is loaded.
        labelled: How many labelled rows are enough.

    Returns:
        The pieces that the load gave, as they are; some tens of thousands of rows at most.

    Raises:
        NotEnoughData: If there is no row at all.
        LoadFailed: If the load gives something else than frames.
    """
    pieces: list[pa.Table] = []
    for span in _LOOKBACKS:
        pieces = _load_at_most(definition.load(Window(as_of - span if span else BEGINNING, as_of)))
        if sum(_count_labels(piece, definition.target) for piece in pieces) >= labelled:
            break
    if not pieces:
        raise NotEnoughData(f"the load gives no row from before {as_of.isoformat()}: correct it, or give a later time")
    return pieces


def cast_as_stored(definition: Project, pieces: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    """Gives rows as they would be read back from the project's table, in the order of their times.

    Args:
        definition: The project.
        pieces: Rows as they were loaded.
        schema: The table's schema.

    Returns:
        The rows that have a time; cells that do not fit their column are missing.
    """
    rows = to_frame(pa.concat_tables([cast_table(piece, schema)[0] for piece in pieces]))
    return rows.dropna(subset=[definition.timestamp]).sort_values(definition.timestamp, ignore_index=True)


def _load_at_most(rows: Rows) -> list[pa.Table]:
    pieces: list[pa.Table] = []
    for given in [rows] if isinstance(rows, FRAMES) or not isinstance(rows, Iterable) else rows:
        if not isinstance(given, FRAMES):
            raise LoadFailed(f"load() gives a {type(given).__name__}: give a frame, or an iterator of frames")
        pieces += islice(split_frame(given, _MAX_LOADED), 1)
        if sum(piece.num_rows for piece in pieces) >= _MAX_LOADED:
            break
    return pieces


def _count_labels(piece: pa.Table, target: str) -> int:
    if target not in piece.column_names:
        return 0
    column = piece[target]
    return len(column) - int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)
