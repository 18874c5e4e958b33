"""The faulty challengers of the gate's self-test, the rules that should reject each, and their data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor

from refit.gate.slices import cut_slices
from refit.project import Project
from refit.records.references import SnapshotRef
from refit.windows import Window
from refit_tasks.simulation.faulty_models import (
    InvertsSlice,
    Overconfident,
    ReturnsNaN,
    SleepsOnSingleRow,
    SwapsColumns,
)
from refit_tasks.training.fit import fit

LEAK = "leaked_target"
"""The feature that gives the label away."""
UNKNOWN = "unknown_column"
"""A column that no project has."""


def shuffled_labels(bench: SelfTestData) -> FaultyChallenger | None:
    """Was fitted on labels in a random order."""
    target, rng = bench.definition.target, np.random.default_rng(0)
    mixed = bench.train.assign(**{target: bench.train[target].to_numpy()[rng.permutation(len(bench.train))]})
    return _make_challenger(bench, bench.fitted(mixed.astype({target: bench.train[target].dtype})))


def leaked_target(bench: SelfTestData) -> FaultyChallenger | None:
    """Has a feature that holds the label."""
    definition = bench.definition
    features = (*definition.features_of(bench.train.columns), LEAK)
    leaky = replace(
        bench,
        definition=definition.model_copy(update={"features": features}),
        train=_add_leak(definition, bench.train),
        holdout=_add_leak(definition, bench.holdout),
    )
    return _make_challenger(leaky, _fit_tree(leaky, list(features)))


def _fit_tree(bench: SelfTestData, columns: list[str]) -> BaseEstimator:
    """Fits on the leak alone among numbers: the project's own estimator may name its columns and not look at it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if bench.definition.kind == "classification" else DecisionTreeRegressor
    only_leak = ColumnTransformer([("leak", "passthrough", [LEAK])])
    tree = make_pipeline(only_leak, kind(min_samples_leaf=5, random_state=0))
    return tree.fit(bench.train[columns], bench.train[bench.definition.target])


def _add_leak(definition: Project, rows: pd.DataFrame) -> pd.DataFrame:
    target = rows[definition.target]
    return rows.assign(**{LEAK: pd.factorize(target, sort=True)[0] if definition.kind == "classification" else target})


def ruined_slice(bench: SelfTestData) -> FaultyChallenger | None:
    """Says the opposite in one slice of a category."""
    slices = cut_slices(bench.definition, bench.holdout)
    texts = [name.partition(" = ") for name in slices if " = " in name]
    named = [
        (column, value) for column, _, value in texts if column in bench.definition.features_of(bench.holdout.columns)
    ]
    known = [one for one in named if (bench.holdout[one[0]].astype(str) == one[1]).any()]
    if not known:
        return None
    column, value = known[-1]
    middle = _mean_target(bench) if bench.definition.kind == "regression" else 0.0
    return _make_challenger(bench, InvertsSlice(bench.fitted(bench.train), column, value, middle))


def _mean_target(bench: SelfTestData) -> float:
    return float(bench.train[bench.definition.target].mean())


def swapped_columns(bench: SelfTestData) -> FaultyChallenger | None:
    """Looks at each number in the place of another."""
    features = bench.definition.features_of(bench.train.columns)
    if len(bench.train[features].select_dtypes("number").columns) < 2:  # noqa: PLR2004 - two can be swapped
        return None
    return _make_challenger(bench, SwapsColumns(bench.fitted(bench.train)))


def constant(bench: SelfTestData) -> FaultyChallenger | None:
    """Gives every row the same answer."""
    kind = DummyClassifier() if bench.definition.kind == "classification" else DummyRegressor()
    features = bench.definition.features_of(bench.train.columns)
    return _make_challenger(bench, kind.fit(bench.train[features], bench.train[bench.definition.target]))


def stale(bench: SelfTestData) -> FaultyChallenger | None:
    """Was fitted on older rows than the champion."""
    rows = bench.old.iloc[: len(bench.old) * 9 // 10]
    return replace(_make_challenger(bench, bench.fitted(rows)), trained_on=bench.ref(rows))


def trained_on_the_holdout(bench: SelfTestData) -> FaultyChallenger | None:
    """Has seen the rows it is judged on."""
    rows = pd.concat([bench.train, bench.holdout], ignore_index=True)
    return replace(_make_challenger(bench, bench.fitted(rows)), trained_on=bench.ref(rows))


def champion_itself(bench: SelfTestData) -> FaultyChallenger | None:
    """Is the champion under another name."""
    return _make_challenger(bench, bench.champion)


def slow(bench: SelfTestData) -> FaultyChallenger | None:
    """Takes half as long again as the budget allows."""
    limit = bench.definition.gate.budgets.latency_ms
    return (
        None
        if limit is None
        else _make_challenger(bench, SleepsOnSingleRow(bench.fitted(bench.train), 1.5 * limit / 1_000))
    )


def huge(bench: SelfTestData) -> FaultyChallenger | None:
    """Takes more disk space than the budget allows."""
    limit = bench.definition.gate.budgets.size_mb
    return (
        None
        if limit is None
        else replace(_make_challenger(bench, bench.fitted(bench.train)), padding=int(limit * 1e6) + 1)
    )


def badly_calibrated(bench: SelfTestData) -> FaultyChallenger | None:
    """Is far too sure of itself, or says numbers that are too high by a standard deviation of the target."""
    regression = bench.definition.kind == "regression"
    shift = float(bench.train[bench.definition.target].std()) if regression else 0.0
    return _make_challenger(bench, Overconfident(bench.fitted(bench.train), shift))


def wrong_signature(bench: SelfTestData) -> FaultyChallenger | None:
    """Was fitted on a column that the project does not have."""
    definition = bench.definition
    features = tuple(definition.features_of(bench.train.columns))
    wider = definition.model_copy(update={"features": (*features, UNKNOWN)})
    model = fit(wider, bench.train.assign(**{UNKNOWN: 0.0}), {})
    expected = definition.model_copy(update={"features": features})
    return _make_challenger(replace(bench, definition=expected, holdout=bench.holdout.assign(**{UNKNOWN: 0.0})), model)


def no_answers(bench: SelfTestData) -> FaultyChallenger | None:
    """Answers NaN to every tenth row."""
    return _make_challenger(bench, ReturnsNaN(bench.fitted(bench.train)))


def _make_challenger(bench: SelfTestData, model: BaseEstimator) -> FaultyChallenger:
    return FaultyChallenger(model, bench.ref(bench.train), bench)


FAULTS: dict[str, tuple[Callable[[SelfTestData], FaultyChallenger | None], frozenset[str]]] = {
    "shuffled labels": (shuffled_labels, frozenset({"beats_baseline", "not_worse_than_champion"})),
    "leaked target": (leaked_target, frozenset({"leakage"})),
    "ruined slice": (ruined_slice, frozenset({"slices", "not_worse_than_champion"})),
    "swapped columns": (swapped_columns, frozenset({"not_worse_than_champion"})),
    "constant": (constant, frozenset({"answers"})),
    "stale": (stale, frozenset({"newer_rows"})),
    "trained on the holdout": (trained_on_the_holdout, frozenset({"unseen_rows"})),
    "the champion itself": (champion_itself, frozenset({"not_the_champion"})),
    "slow": (slow, frozenset({"latency"})),
    "huge": (huge, frozenset({"size"})),
    "badly calibrated": (badly_calibrated, frozenset({"calibration", "not_worse_than_champion"})),
    "wrong signature": (wrong_signature, frozenset({"inputs"})),
    "no answers": (no_answers, frozenset({"answers"})),
}
"""Every bad challenger: how it is made, and the rules of which one at least should stop it."""


@dataclass(frozen=True, slots=True)
class SelfTestData:
    """The rows and the champion that challengers are tried against."""

    definition: Project
    old: pd.DataFrame
    """What the champion was fitted on."""
    train: pd.DataFrame
    """What an honest challenger is fitted on: newer rows as well."""
    holdout: pd.DataFrame
    """Rows that neither has seen, in the order of their event times."""
    champion: BaseEstimator

    def fitted(self, rows: pd.DataFrame) -> BaseEstimator:
        """Fits the project's estimator.

        Args:
            rows: Labelled rows.

        Returns:
            The model.
        """
        return fit(self.definition, rows, {})

    def ref(self, rows: pd.DataFrame) -> SnapshotRef:
        """Names rows as a snapshot that no table holds.

        Args:
            rows: In the order of their event times.

        Returns:
            The reference: project, window and count.
        """
        times = rows[self.definition.timestamp]
        window = Window(times.iloc[0].to_pydatetime(), times.iloc[-1].to_pydatetime() + pd.Timedelta(microseconds=1))
        return SnapshotRef(self.definition.name, 0, window, len(rows), "", labelled=True)


@dataclass(frozen=True, slots=True)
class FaultyChallenger:
    """One challenger, ready to be judged."""

    model: BaseEstimator
    trained_on: SnapshotRef
    bench: SelfTestData
    """What it is judged on; another one than the honest one where a column was added."""
    padding: int = 0
    """How many bytes lie beside the stored model."""
