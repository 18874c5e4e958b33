"""The replay of a project's past: its rows are read once, and fits run side by side in processes of their own."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError
from sklearn.base import BaseEstimator

from refit.backtest.presets import PRESETS, Preset, own
from refit.backtest.replay import Progress, replay
from refit.backtest.results import BacktestResult
from refit.errors import NotEnoughData, ProjectError
from refit.monitoring.policies import MonitoringPolicy
from refit.project import Project
from refit.snapshots import SnapshotRef
from refit.windows import BEGINNING, Window
from tasks.catalog import read_project
from tasks.delta import open_table
from tasks.fit import foreign_code
from tasks.table import read_rows

log = logging.getLogger(__name__)

OWN = "project"
"""The name of the project's own policy."""
WINDOWS_PER_LINE = 7


@task(cache_policy=NO_CACHE)
def replay_history(definition: Project, policies: list[str], windows: int, until: datetime) -> BacktestResult:
    """Replays what the project's table holds under several policies; neither ledger nor registry is touched.

    Args:
        definition: The project.
        policies: Names of presets, or JSON files with the fields of a `MonitoringPolicy`; all presets and the project's
            own policy, if empty.
        windows: Into how many windows the history is cut.
        until: Rows from here on are not seen, UTC.

    Returns:
        What each policy lost and did.

    Raises:
        ProjectError: If a policy is unknown or cannot be read.
        NotEnoughData: If there are too few labelled rows.
        TrainingFailed: If the project's estimator cannot be built or fitted.
    """
    presets, started = choose_presets(definition, policies), perf_counter()
    rows = _rows(definition, until)
    log.info("%s: replaying %d rows under %s", definition.name, len(rows), ", ".join(presets))
    with foreign_code(definition), _processes(definition) as executor:
        result = replay(_portable(definition), rows, presets, windows, executor, _progress(definition))
    return replace(result, seconds=perf_counter() - started)


def choose_presets(definition: Project, policies: list[str]) -> dict[str, Preset]:
    """Finds the policies to replay.

    Args:
        definition: The project.
        policies: As given to `replay_history`.

    Returns:
        By name; a file goes by its stem.

    Raises:
        ProjectError: If one is unknown or cannot be read.
    """
    mine = {OWN: own(definition.monitoring)}
    if not policies:
        differs = definition.monitoring != MonitoringPolicy()
        return {**PRESETS, **(mine if differs else {})}
    known = {**PRESETS, **mine}
    return {Path(name).stem: known.get(name) or own(_read_policy(name, known)) for name in policies}


def _read_policy(name: str, known: Mapping[str, Preset]) -> MonitoringPolicy:
    file = Path(name)
    if file.suffix != ".json":
        raise ProjectError(f"{name!r} is no policy: use one of {', '.join(known)}, or a JSON file")
    try:
        return MonitoringPolicy.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ProjectError(f"{file} is no monitoring policy ({wrong}): correct it") from error
    except (OSError, ValueError) as error:
        raise ProjectError(f"{file} cannot be read ({error}): name a JSON file with a monitoring policy") from error


def _rows(definition: Project, until: datetime) -> pd.DataFrame:
    table = open_table(definition.name)
    if table is None:
        raise NotEnoughData(f"{definition.name} has no table yet: ingest some rows by refit retrain {definition.name}")
    window = Window(min(BEGINNING, until), until)
    return read_rows(definition, SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True))


def _progress(definition: Project) -> Progress:
    def tell(name: str, done: int, of: int) -> None:
        if done % WINDOWS_PER_LINE == 0 or done == of:
            log.info("%s: %s has lived through %d of %d windows", definition.name, name, done, of)

    return tell


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds the estimator of a project file in whatever process it is called."""

    file: Path

    def __call__(self) -> BaseEstimator:
        return read_project(self.file).build()


def _portable(definition: Project) -> Project:
    """Leaves out what another process does not need and may not be able to receive: closures above all."""
    if definition.file is None:
        return definition
    return definition.model_copy(
        update={"load": pd.DataFrame, "expectations": None, "build": _Builder(definition.file)}
    )


@contextmanager
def _processes(definition: Project) -> Iterator[Executor | None]:
    """Starts a process per core, each with the project file imported; none where there is one core, or no file."""
    cores = len(os.sched_getaffinity(0))
    if definition.file is None or cores == 1:
        yield None
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, fresh, _prepare, (definition.file,)) as executor:
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


def _prepare(file: Path) -> None:
    """Readies a process: a fitted estimator may be of a class of the project file, and cores are not shared twice."""
    from threadpoolctl import threadpool_limits

    read_project(file)
    threadpool_limits(1)
