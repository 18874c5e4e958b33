"""Scores a batch: every row that keeps the contract is answered by the champion, and by the version that shadows it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.errors import ModelError
from refit.inference.prediction_rows import Asked, Role
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit.results.score import Counted, Scored, Sought
from refit_tasks.monitoring.profiles import load_reference
from refit_tasks.prediction.input_rows import Admitted, admit, table_schema
from refit_tasks.prediction.scored_batch import Batch
from refit_tasks.prediction.scorers import Scorer, load_scorer
from refit_tasks.prediction.sought import finished_until
from refit_tasks.prediction.write_predictions import commit_scored
from refit_tasks.retries import not_ours
from refit_tasks.storage.staging import staging_area

log = logging.getLogger(__name__)

NOTHING = Counted(0, 0)


@task(
    task_run_name="score {definition.name} by version {champion.version}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=2,
    retry_condition_fn=not_ours,
)
def score_rows(
    definition: Project,
    sought: Sought,
    champion: Champion,
    shadow: Challenger | None,
    at: datetime,
    run: str | None = None,
) -> Scored:
    """Loads rows, judges them by the contract, has the versions answer, and writes what they said in one commit.

    Rows, answers and what is to be written lie on disk; memory holds a piece of them. The quarantine is written first,
    then the predictions: a run that is killed at any moment and repeated finds what it has written.

    Args:
        definition: The project.
        sought: Which rows.
        champion: The version that serves.
        shadow: The version that answers beside it, if any.
        at: When, UTC.
        run: The flow run, for the record.

    Returns:
        What became of the rows.

    Raises:
        LoadFailed: If the rows cannot be read.
        ContractViolation: If the rows as a whole break the contract; nothing is written then.
        ModelError: If the champion cannot be loaded, or cannot answer. A shadow that cannot is left out.
    """
    schema = table_schema(definition)
    first = load_scorer(definition, champion.model, _asked(champion.version, champion, "champion", at), schema)
    second, silent = _loaded(definition, champion, shadow, at, schema)
    with staging_area(definition.name) as area:
        # What a shadow wants to see beyond that may be missing: it is silent then.
        admitted = admit(definition, sought, first.kinds, schema, area)
        if admitted is None:
            log.info("%s: nothing to score in %s", definition.name, sought.source)
            return Scored(0, 0, NOTHING, None)
        batch = Batch(definition, area, load_reference(champion.model) if definition.monitoring.drift else None)
        batch.score(admitted, first, second, run)
        done = _settled(batch, sought, admitted)
    done = replace(done, warnings=(*admitted.warnings, *silent, *batch.silent))
    log.info("%s: %d rows in, %d scored, %d were there", definition.name, done.rows_in, *_counts(done))
    return done


def _counts(done: Scored) -> tuple[int, int]:
    return done.champion.scored, done.champion.already


def _settled(batch: Batch, sought: Sought, admitted: Admitted) -> Scored:
    """Writes what was said, and gathers what there is to tell."""
    times, counts = batch.span, [NOTHING] * len(batch.said)
    if times:
        until = finished_until(sought, batch.definition, times.end)
        counts = commit_scored(batch.definition.name, batch.said, times, until)
    return Scored(
        rows_in=admitted.rows_in,
        quarantined=admitted.sieve.rejected.rows,
        champion=counts[0],
        shadow=counts[1] if len(counts) > 1 else None,
        span=times,
        skew=batch.skew(),
        spreads=batch.spreads(),
        broken=admitted.sieve.broken,
    )


def _asked(version: int, champion: Champion, role: Role, at: datetime) -> Asked:
    return Asked(version, champion.generation, role, "batch", at)


def _loaded(
    definition: Project, champion: Champion, shadow: Challenger | None, at: datetime, schema: pa.Schema
) -> tuple[Scorer | None, tuple[str, ...]]:
    if shadow is None:
        return None, ()
    try:
        return load_scorer(definition, shadow.model, _asked(shadow.version, champion, "shadow", at), schema), ()
    except ModelError as fault:
        log.warning("%s: the shadow, version %d, is left out: %s", definition.name, shadow.version, fault)
        return None, (f"the shadow, version {shadow.version}, cannot be loaded: {fault}",)
