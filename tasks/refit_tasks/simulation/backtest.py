"""The backtest: reads a project's history once, and replays every policy on it in parallel processes.

The history comes from the project's table, or from its load if it has no table yet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import perf_counter

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from refit.backtest.policies import DEFAULT, OWN, PRESETS, Preset, make_preset
from refit.backtest.replay import Progress, replay_history
from refit.backtest.results import BacktestResult
from refit.data.casting import cast_table
from refit.data.chunks import split_frame
from refit.data.schema import unify_schemas
from refit.data.target import require_number_target
from refit.errors import NotEnoughData, ProjectError, RefitError, TrainingFailed
from refit.policies.monitoring import MonitoringPolicy
from refit.project import Project
from refit.records.references import SnapshotRef
from refit.windows import BEGINNING, Window
from refit_tasks.catalog import find_project
from refit_tasks.ingestion.load import load_frames
from refit_tasks.prefect_tasks import define_task
from refit_tasks.project_code.errors import describe_project_error
from refit_tasks.project_log import with_project
from refit_tasks.runs.progress import ProgressBar
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.snapshot_rows import read_rows, to_frame

log = logging.getLogger(__name__)

DEFAULT_POLICIES = ("never", "every_4th", "fixed_psi", "performance_drop", DEFAULT)
"""What is compared where nobody names a policy."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Each process keeps to one core: more threads would only wait for each other."""


@define_task("backtest {definition.name}")
def run_backtest(definition: Project, policies: list[str], windows: int, until: datetime) -> BacktestResult:
    """Replays the project's history under several policies. Neither the ledger nor MLflow is touched.

    Args:
        definition: The project.
        policies: Names of presets or paths of JSON files; the usual ones if there are none.
        windows: Into how many windows the history is cut.
        until: Later rows are left out, UTC.

    Returns:
        What each policy lost and did.

    Raises:
        ProjectError: If there is no policy of that name.
        NotEnoughData: If the history is too short.
        TrainingFailed: If the project's code raises.
    """
    presets, started = choose_presets(definition, policies), perf_counter()
    rows = read_history_rows(definition, until)
    with_project(log, definition.name).info("%s rows of history, %d policies", f"{len(rows):,}", len(presets))
    result = _replay(definition, rows, presets, windows)
    return replace(result, seconds=perf_counter() - started)


def choose_presets(definition: Project, names: Iterable[str]) -> dict[str, Preset]:
    """Finds policies by name or file.

    Args:
        definition: The project, whose own policy is `project`.
        names: Names of presets, `project`, or paths of JSON files with the fields of `MonitoringPolicy`; if there are
            none, the usual ones, and the project's own where it is not the default.

    Returns:
        The policies by name; a file's is its name without the ending.

    Raises:
        ProjectError: If a name is neither, or a file is no policy.
    """
    changed = definition.monitoring != MonitoringPolicy()
    wanted = list(names) or [*DEFAULT_POLICIES, *([OWN] if changed else [])]
    found = [_find_preset(definition, name) for name in wanted]
    twice = {name for name, _ in found if sum(name == other for other, _ in found) > 1}
    taken = {Path(given).stem for given in wanted if given not in {*PRESETS, OWN}} & {*PRESETS, OWN}
    if twice or taken:
        names = ", ".join(sorted(twice | taken))
        raise ProjectError(f"several policies would be called {names}: give each file a name of its own")
    return dict(found)


def _find_preset(definition: Project, name: str) -> tuple[str, Preset]:
    if name == OWN:
        return name, make_preset(definition.monitoring)
    if name in PRESETS:
        return name, PRESETS[name]
    file = Path(name)
    if not file.is_file():
        known = ", ".join([*PRESETS, OWN])
        raise ProjectError(f"{name!r} is not a policy: use one of {known}, or the path of a JSON file with one")
    try:
        return file.stem, make_preset(MonitoringPolicy.model_validate(json.loads(file.read_text())))
    except (ValidationError, ValueError, OSError) as fault:
        reason = _describe_first_error(fault) if isinstance(fault, ValidationError) else str(fault)
        raise ProjectError(
            f"{name} does not hold a policy ({reason}): give JSON with fields of MonitoringPolicy"
        ) from fault


def _describe_first_error(fault: ValidationError) -> str:
    mistake = fault.errors()[0]
    return f"{'.'.join(map(str, mistake['loc'])) or 'the whole'}: {mistake['msg']}"


def _replay(definition: Project, rows: pd.DataFrame, presets: Mapping[str, Preset], windows: int) -> BacktestResult:
    from joblib import cpu_count
    from joblib.externals.loky import get_reusable_executor

    # Each process imports the project's file itself: what the file defines cannot be sent otherwise.
    executor = get_reusable_executor(
        max_workers=cpu_count(), env=_ONE_THREAD, initializer=find_project, initargs=(definition.name,)
    )
    try:
        return replay_history(
            definition, rows, presets, windows, executor, _make_progress_reporter(definition, len(presets))
        )
    except RefitError:
        raise
    except (Exception, SystemExit) as error:  # the project's code may raise anything
        raise TrainingFailed(
            f"the replay of {definition.name} failed ({describe_project_error(error, definition.file)}): run `refit "
            f"check {definition.name}`, which tells whether the project or Refit is to be corrected"
        ) from error
    finally:
        executor.shutdown()


def _make_progress_reporter(definition: Project, policies: int) -> Progress:
    """Tells how far all policies are together, once for each tenth."""
    done, told, lock = dict[str, int](), [0], Lock()
    gauge = ProgressBar(definition.name, "backtest")

    def tell(name: str, number: int, of: int) -> None:
        with lock:
            done[name] = number
            whole = of * max(policies, len(done))
            gauge.show(sum(done.values()), whole)
            tenths = 10 * sum(done.values()) // whole
            if tenths > told[0]:
                told[0] = tenths
                where = ", ".join(f"{each} {count}" for each, count in done.items())
                with_project(log, definition.name).info("%d %% replayed; of %d windows: %s", 10 * tenths, of, where)

    return tell


def read_history_rows(definition: Project, until: datetime) -> pd.DataFrame:
    """Reads the rows of the project's table, or has the project load them where it has no table yet.

    Args:
        definition: The project.
        until: Later rows are left out, UTC.

    Returns:
        The rows, with a time each; of a table the labelled ones only, in the order of the key.

    Raises:
        NotEnoughData: If there are none.
        LoadFailed: If the project's load raises.
        ContractViolation: If the columns do not fit the project.
    """
    window, table = Window(min(BEGINNING, until), until), open_table(definition.name)
    if table is not None:
        return read_rows(definition, SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True))
    frames = load_frames(definition, definition.load, window)
    pieces = [piece for frame in frames for piece in split_frame(frame, definition.ingestion.piece_rows)]
    if not pieces:
        raise NotEnoughData(
            f"the load of {definition.name} gives no rows before {until.isoformat()}: give a later time"
        )
    schema = unify_schemas([piece.schema for piece in pieces], definition)
    require_number_target(definition, pieces)
    rows = to_frame(pa.concat_tables([cast_table(piece, schema)[0] for piece in pieces]))
    return rows[rows[definition.timestamp].notna()]
