"""What a project keeps: versions, and the runs and rows that each of them needs to be explained and rebuilt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from refit.gate.judgements import Judgement
from refit.records.ledger import Entry, from_payload
from refit.records.references import ModelRef
from refit.records.snapshots import SnapshotRef
from refit.results.retention import kept_versions
from refit_tasks.ledger.database import reading
from refit_tasks.ledger.generations import successions
from refit_tasks.ledger.record import EVERY, entries
from refit_tasks.registry.challengers import pending, recorded_challenger
from refit_tasks.registry.register import is_settled

if TYPE_CHECKING:
    from mlflow import MlflowClient

OURS = "refit.run_key"
"""The tag of the versions that Refit has registered; what a person registers is never let go."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What retention must not touch."""

    versions: frozenset[int]
    dropped: tuple[int, ...]
    """The other versions, oldest first."""
    runs: frozenset[str]
    """The MLflow runs of the kept versions' models, and of the models that the gate judged."""
    rows: tuple[SnapshotRef, ...]
    """What those were trained and judged on."""
    since: datetime | None
    """When the oldest of the newest kept versions was judged: what is younger stays; `None` where nothing goes."""


def find_kept(client: MlflowClient, project: str, newest: int) -> Kept:
    """Finds what a project keeps.

    Args:
        client: From `refit_tasks.registry.mlflow_client.open_mlflow`.
        project: The project's name.
        newest: How many of the newest versions.

    Returns:
        The versions, and what they need.

    Raises:
        StateError: If the ledger cannot be read.
    """
    found = {int(one.version): one for one in client.search_model_versions(f"name = '{project}'")}
    verdicts = {made.payload["version"]: made for made in entries(project, "verdict", newest=EVERY)}
    foreign = {number for number, one in found.items() if number not in verdicts or OURS not in one.tags}
    bound = foreign | _aliased(client, project, bool(found)) | {one.version for one in pending(project)}
    with reading() as connection:
        champions = [champion for _, champion in successions(connection, project)]
    kept = kept_versions(found, (one.version for one in champions), bound, newest)
    kept |= {number for number in set(found) - kept if not is_settled(recorded_challenger(verdicts[number]))}
    judgements = [from_payload(Judgement, verdicts[number].payload) for number in kept if number in verdicts]
    models = [model for one in judgements for model in (one.model, one.served) if model]
    models += [m for one in champions if one.version in kept for m in (one.model, one.judged) if m]
    return Kept(
        versions=kept,
        dropped=tuple(sorted(set(found) - kept)),
        runs=frozenset({*(one.run_id for one in models), *(found[number].run_id or "" for number in kept)}),
        rows=_rows(models, judgements),
        since=_since(sorted(verdicts.values(), key=lambda made: made.id), newest),
    )


def _aliased(client: MlflowClient, project: str, registered: bool) -> set[int]:
    if not registered:
        return set()
    return {int(version) for version in client.get_registered_model(project).aliases.values()}


def _rows(models: list[ModelRef], judgements: list[Judgement]) -> tuple[SnapshotRef, ...]:
    rows = [*(one.trained_on for one in models), *(one.comparison.holdout for one in judgements)]
    return tuple(dict.fromkeys(rows))


def _since(verdicts: list[Entry], newest: int) -> datetime | None:
    """Something older than so many verdicts is needed by no retrain that a crash has interrupted."""
    return verdicts[-max(newest, 1)].at if len(verdicts) > newest else None
