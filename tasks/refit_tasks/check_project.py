"""Tries a project out on a few rows, so that what is wrong with it is found before a scheduled run finds it.

Nothing is recorded: no table, no ledger and no MLflow is touched.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from prefect.settings import PREFECT_API_URL
from sklearn.base import BaseEstimator

from refit.data.schema import unify
from refit.errors import NotEnoughData, ProjectError
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.preparation import fit_seeded
from refit.modelling.scoring import metric_of, score
from refit.project import Project
from refit_tasks.notifications.notify import block_fault
from refit_tasks.project_code import blame
from refit_tasks.registry.model_store import load_model, save_model
from refit_tasks.sample import as_stored, load_sample
from refit_tasks.storage.staging import staging_area
from refit_tasks.training.fit import prepared
from refit_tasks.validation.own_expectations import rules_of

_ROWS = 2_000
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
    trial = _Trial(definition, as_of)
    checks: dict[str, Check] = {}
    steps = {**_STEPS, **({"notifications": ()} if definition.notifications.blocks else {})}
    for name, needs in steps.items():
        lacking = [need for need in needs if not checks[need].passed]
        checks[name] = _skipped(name, lacking[0]) if lacking else _tried(trial, name)
        log.info("%s: checked %s", definition.name, name)
    return tuple(checks.values())


def _skipped(name: str, lacking: str) -> Check:
    return Check(name, passed=False, sentence=f"not tried, since {lacking} failed")


def _tried(trial: _Trial, name: str) -> Check:
    try:
        return Check(name, passed=True, sentence=getattr(trial, name)())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the door to foreign code, which may raise anything
        return Check(name, passed=False, sentence=blame(error, trial.definition.file, trial.definition.pii))


_STEPS: dict[str, tuple[str, ...]] = {
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
class _Trial:
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
        self.pieces = load_sample(self.definition, self.as_of, _ROWS)
        return f"{sum(piece.num_rows for piece in self.pieces):,} rows from before {self.as_of.isoformat()}"

    def columns(self) -> str:
        self.schema = unify([piece.schema for piece in self.pieces], self.definition)
        rows = as_stored(self.definition, self.pieces, self.schema)
        self.rows = rows.dropna(subset=[self.definition.target]).tail(_ROWS)
        if self.rows.empty:
            raise NotEnoughData(
                f"none of {len(rows):,} rows has a label in {self.definition.target!r}: correct the load"
            )
        return f"{len(rows.columns)} columns, of which {len(self.features)} features: {', '.join(self.features)}"

    def contract(self) -> str:
        if self.definition.expectations is None:
            return "no expectations are given: the contract will be derived from the first rows"
        rules = rules_of(self.definition, self.definition.expectations, self.schema)
        return f"expectations() gives {len(rules)} rules about columns that there are"

    def build(self) -> str:
        self.estimator = self.definition.build()
        if not isinstance(self.estimator, BaseEstimator):
            raise ProjectError(f"build() gives {self.estimator!r:.80}: it must give an unfitted scikit-learn estimator")
        return f"build() gives a {type(self.estimator).__name__}"

    def metric(self) -> str:
        return f"scikit-learn has the scorer {metric_of(self.definition, ())}"

    def fit(self) -> str:
        self.X = prepared(self.definition, self.rows)
        target, seed = self.rows[self.definition.target], self.definition.training.seed
        model = fit_seeded(self.estimator, self.X, target, seed)
        self.predictions = predict_once(model, self.X)
        return f"fitted on {len(self.X):,} rows"

    def predict(self) -> str:
        labels = self.rows[self.definition.target]
        metric = metric_of(self.definition, labels.unique())
        return f"{metric} is {score(metric, self.predictions, labels):.4g} on the rows it was fitted on"

    def store(self) -> str:
        with staging_area(self.definition.name) as directory:
            save_model(self.predictions.model, directory / "model")
            model = load_model(directory / "model", self.definition.trusted_types)
            size = sum(file.stat().st_size for file in (directory / "model").iterdir())
        if not np.array_equal(self.predictions.all_of("predict"), predict_once(model, self.X).all_of("predict")):
            raise ProjectError("the model predicts something else once it is stored and loaded: store all of its state")
        return f"stored as {size / 1e6:.1f} MB and loaded again with the same predictions"

    def notifications(self) -> str:
        blocks = self.definition.notifications.blocks
        if not PREFECT_API_URL.value():
            return f"{', '.join(blocks)} not looked up: PREFECT_API_URL names no Prefect server"
        faults = [f"{block}: {fault}" for block in blocks if (fault := block_fault(block))]
        if faults:
            raise ProjectError(f"{'; '.join(faults)}: make the block, or take it out of notifications")
        return f"{', '.join(blocks)} can be loaded from the Prefect server"

    @property
    def features(self) -> list[str]:
        return self.definition.features_of(self.rows.columns)
