"""The benefit probe on the table's mature rows."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.data.split import TICK
from refit.monitoring.benefit_probe import MOST_ROWS, probe
from refit.monitoring.evidence import Probe
from refit.monitoring.label_maturity import mature_until
from refit.project import Project
from refit.records.references import Champion
from refit.records.snapshots import SnapshotRef
from refit.windows import BEGINNING, Window
from refit_tasks.storage.delta import open_table, schema_of
from refit_tasks.storage.streaming import sampled
from refit_tasks.training.fit import foreign_code

log = logging.getLogger(__name__)


@task(task_run_name="probe the benefit of a retrain of {definition.name}", cache_policy=NO_CACHE)
def run_probe(definition: Project, champion: Champion, as_of: datetime, length: timedelta) -> Probe | None:
    """Asks whether a small fresh model would beat the champion's equally small twin on the newest mature rows.

    Args:
        definition: The project.
        champion: The version that serves.
        as_of: The instant looked from, UTC.
        length: Of one monitoring window.

    Returns:
        The gain, with the seconds that it took to find; `None` where the probe is switched off, no row has matured
        since the champion was trained, or too few have.

    Raises:
        TrainingFailed: If the project's estimator cannot be built.
    """
    start, policy, table = perf_counter(), definition.monitoring.probe, open_table(definition.name)
    trained, until = champion.model.trained_on.window, min(mature_until(as_of, definition.label_delay), as_of)
    if policy is None or table is None or until <= trained.end:
        return None
    known = SnapshotRef(definition.name, table.version(), Window(BEGINNING, until), 0, "", labelled=True)
    history = _history(definition, known, schema_of(table).names)
    newest = history[definition.timestamp].max().to_pydatetime() + TICK if len(history) else trained.end
    if newest <= trained.end:
        return None
    with foreign_code(definition):
        found = probe(definition, history, trained, Window(newest - length, newest), policy)
    if found is None:
        return None
    log.info("%s: a fresh model would gain %+.2g (%+.1f %%)", definition.name, found.gain, 100 * found.share)
    return replace(found, seconds=perf_counter() - start)


def _history(definition: Project, known: SnapshotRef, names: list[str]) -> pd.DataFrame:
    identity = list(definition.key or names)
    columns = [definition.timestamp, definition.target, *definition.features_of(names)]
    rows = sampled(definition, known, columns, identity, MOST_ROWS)
    return rows.sort_values(definition.timestamp, kind="stable", ignore_index=True) if len(rows) else rows
