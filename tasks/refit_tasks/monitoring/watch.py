"""The former champion in shadow: both models on the rows that have matured since the promotion, and the way back."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE

from refit.modelling.scoring import metric_of
from refit.monitoring.evidence import Watched
from refit.monitoring.label_maturity import mature_until
from refit.monitoring.post_promotion import look_due
from refit.monitoring.replay import Decided
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import Champion
from refit.records.snapshots import SnapshotRef
from refit.windows import Window
from refit_tasks.evaluation.evaluate import contender, in_time, scored_on
from refit_tasks.ledger.generations import champion_of
from refit_tasks.ledger.record import latest
from refit_tasks.storage.delta import open_table

log = logging.getLogger(__name__)


@task(task_run_name="watch version {champion.version} of {definition.name}", cache_policy=NO_CACHE)
def run_watch(definition: Project, champion: Champion, as_of: datetime, length: timedelta) -> Watched | None:
    """Scores the champion and the one that it took the place of on the rows that neither has seen.

    Each look is made once: until the next window has matured, what the newest decision rests on is given again.

    Args:
        definition: The project.
        champion: The version that serves.
        as_of: The instant looked from, UTC.
        length: Of one monitoring window.

    Returns:
        The scores; `None` where the watch is switched off, there is no former champion, or no window has matured.

    Raises:
        ModelError: If one of the two cannot be loaded, or cannot predict these rows.
    """
    policy, former = definition.monitoring.watch, former_champion(champion)
    if policy is None or former is None:
        return None
    start = max(champion.model.trained_on.window.end, former.model.trained_on.window.end)
    due = look_due(start, min(as_of, mature_until(as_of, definition.label_delay)), length, policy.looks)
    known = _known(definition.name, champion.generation)
    if due is None or (known and known.look == due[0]):
        return known if due else None
    return _watched(definition, champion, former, *due)


def former_champion(champion: Champion) -> Champion | None:
    """Finds the champion whose place another one took by a verdict.

    Args:
        champion: The version that serves.

    Returns:
        The one before it; `None` where it was the first, or came back by a rollback.
    """
    promotion = latest(champion.model.project, "promotion")
    if promotion is None or promotion.payload["former"] is None:
        return None
    return from_payload(Champion, promotion.payload["former"]) if champion_of(promotion) == champion else None


def _known(project: str, generation: int) -> Watched | None:
    newest = latest(project, "decision")
    evidence = from_payload(Decided, newest.payload).evidence if newest else None
    return evidence.watched if evidence and evidence.generation == generation else None


def _watched(definition: Project, champion: Champion, former: Champion, look: int, window: Window) -> Watched | None:
    table = open_table(definition.name)
    if table is None:
        return None
    rows = in_time(definition, SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True))
    if not len(rows):
        return None
    serving = contender(definition, f"champion version {champion.version}", champion.model)
    before = contender(definition, f"former champion version {former.version}", former.model)
    metric = metric_of(definition, list(getattr(serving.model, "classes_", [])))
    scores = [scored_on(definition, metric, one, rows) for one in (serving, before)]
    log.info("%s: %s is %.4g, the former champion's %.4g", definition.name, metric, *(one.value for one in scores))
    return Watched(metric, look, window, len(rows), former.version, *scores)
