"""The self-test of a project's gate: faulty and honest challengers are judged as in production.

Nothing is recorded: table, ledger and MLflow are not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from refit.errors import NotEnoughData
from refit.gate.comparison import Candidate, HoldoutData, compare_on_holdout
from refit.gate.decide import decide
from refit.project import Project
from refit.records.verdicts import Verdict
from refit_tasks.evaluation.serving_check import check_serving_of_directory
from refit_tasks.project_log import with_project
from refit_tasks.registry.model_store import load_model, save_model
from refit_tasks.simulation.backtest import read_history_rows
from refit_tasks.simulation.faulty_challengers import FAULTS, FaultyChallenger, SelfTestData
from refit_tasks.simulation.faulty_models import TYPES
from refit_tasks.storage.staging import staging_area
from refit_tasks.training.fit import fit, translate_estimator_errors

log = logging.getLogger(__name__)

MOST_ROWS = 10_000
"""The most rows that a model of the self-test is fitted on, the newest."""
HOLDOUT = 2_000
"""The most rows that it is judged on."""


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """One challenger and what the gate said of it."""

    name: str
    good: bool
    """Whether it is an honest one."""
    expected: tuple[str, ...]
    """The rules of which one at least should stop it; none for an honest one."""
    verdict: Verdict | None
    """`None` where the project leaves no way to make it, such as a limit that is not set."""

    @property
    def right(self) -> bool:
        """Whether an honest one passed, or a bad one was stopped by a rule that is there for it."""
        if self.verdict is None or self.good:
            return self.verdict is None or self.verdict.promote
        return bool({reason.check for reason in self.verdict.reasons if not reason.passed} & set(self.expected))


def run_selftest(definition: Project, as_of: datetime, rounds: int) -> Iterator[SelfTestResult]:
    """Puts bad and honest challengers before the project's gate.

    Args:
        definition: The project.
        as_of: Later rows are left out, UTC.
        rounds: How many honest challengers, each at another moment of the history.

    Yields:
        One after the other as they are judged, the bad ones first.

    Raises:
        NotEnoughData: If the history is too short.
        TrainingFailed: If the project's code raises.
    """
    trusting = definition.model_copy(update={"trusted_types": (*definition.trusted_types, *TYPES)})
    rows = _read_labelled_rows(definition, as_of)
    with translate_estimator_errors(definition):
        newest = _split_history(trusting, rows, 0, rounds)
        for name, (make, expected) in FAULTS.items():
            plant = make(newest)
            verdict = _judge(plant, newest) if plant else None
            with_project(log, definition.name).info("%s: %s", name, verdict or "cannot be made here")
            yield SelfTestResult(name, good=False, expected=tuple(sorted(expected)), verdict=verdict)
        for number in range(rounds):
            bench = _split_history(trusting, rows, number, rounds)
            verdict = _judge(FaultyChallenger(bench.fitted(bench.train), bench.ref(bench.train), bench), bench)
            with_project(log, definition.name).info("honest challenger %d of %d: %s", number + 1, rounds, verdict)
            yield SelfTestResult(f"honest {number + 1}", good=True, expected=(), verdict=verdict)


def _read_labelled_rows(definition: Project, as_of: datetime) -> pd.DataFrame:
    rows = read_history_rows(definition, as_of)
    rows = rows[rows[definition.target].notna()]
    return rows.sort_values(definition.timestamp, kind="stable", ignore_index=True)


def _split_history(definition: Project, rows: pd.DataFrame, number: int, rounds: int) -> SelfTestData:
    """Cuts the history at one of several moments: a holdout, and a champion that knows as many rows less."""
    size = min(HOLDOUT, len(rows) // 10)
    least = 2 * definition.training.min_rows
    end = len(rows) - number * (len(rows) // 2) // max(1, rounds)
    if size < definition.gate.min_rows or end - 3 * size < least:
        raise NotEnoughData(
            f"{definition.name} has {len(rows):,} labelled rows, too few for a self-test: wait for more rows"
        )
    times = rows[definition.timestamp]
    train = rows[: end - size][times[: end - size] < times.iloc[end - size] - definition.label_delay]
    old = train[: max(least, len(train) - 2 * size)]
    holdout = rows[end - size : end].reset_index(drop=True)
    old, train = (part.tail(MOST_ROWS).reset_index(drop=True) for part in (old, train))
    return SelfTestData(definition, old, train, holdout, fit(definition, old, {}))


def _judge(plant: FaultyChallenger, honest: SelfTestData) -> Verdict:
    """Stores a challenger, brings it back as serving would, and has the gate judge it."""
    bench, definition = plant.bench, plant.bench.definition
    with staging_area(definition.name) as scratch:
        directory = scratch / "model"
        save_model(plant.model, directory)
        _add_padding(directory, plant.padding)
        challenger = Candidate("the challenger", load_model(directory, definition.trusted_types), plant.trained_on)
        rehearsal = check_serving_of_directory(definition, directory, bench.holdout)
    champion = Candidate("the champion", honest.champion, honest.ref(honest.old))
    ground = HoldoutData(
        bench.ref(bench.holdout), bench.holdout, bench.train[definition.target], bench.train, rehearsal
    )
    return decide(compare_on_holdout(definition, challenger, champion, ground), definition.gate)


def _add_padding(directory: Path, size: int) -> None:
    """Lays a file of that size beside the model; it takes no room on disk, since it holds nothing."""
    if size:
        with (directory / "padding").open("wb") as file:
            file.truncate(size)
