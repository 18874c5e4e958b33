"""The thread that follows the challengers in the ledger: loads the one that waits for approval beside its champion."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread

from refit.errors import describe_error
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.loaded_model import LoadedModel, load_champion
from refit_serving.traffic.canary import ActiveChallenger
from refit_serving.traffic.follower import EVERY_SECONDS, ServingSlot
from refit_tasks.catalog import find_project
from refit_tasks.ledger.record import entries
from refit_tasks.project_log import with_project
from refit_tasks.registry.challengers import find_challenger
from refit_tasks.retries import LOAD_WAIT, Backoff

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Progress:
    """What a slot's challenger was last updated to. While both numbers stay, so does the challenger."""

    generation: int = 0
    """The champion's generation."""
    entry: int = 0
    """The id of the project's newest ledger entry."""
    backoff: Backoff = field(default_factory=lambda: Backoff(LOAD_WAIT))


class ChallengerFollower:
    """Updates the challengers of serving slots from the ledger. Its failures never affect the champions."""

    def __init__(self, slots: Iterable[ServingSlot], metrics: Metrics) -> None:
        self._slots = [(slot, _Progress()) for slot in slots]
        self._metrics = metrics
        self._stop = Event()
        self._thread = Thread(target=self._follow, name="refit-challengers", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tells the thread to end, without waiting for a model that it is loading."""
        self._stop.set()

    def refresh(self) -> None:
        """Updates the challenger of each slot; where that fails, the champion answers alone."""
        for slot, progress in self._slots:
            try:
                self._update(slot, progress)
            except Exception as fault:  # noqa: BLE001 - a project file or a stored model may raise anything
                progress.backoff.fail(progress.entry)
                self._remove(slot, f"{slot.project}: the champion answers alone ({describe_error(fault)})")

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(EVERY_SECONDS)

    def _update(self, slot: ServingSlot, progress: _Progress) -> None:
        champion, newest = slot.model, entries(slot.project, newest=1)
        entry = newest[0].id if newest else 0
        if champion is None or progress.backoff.is_waiting(entry):
            return
        if (champion.generation, entry) == (progress.generation, progress.entry) and not progress.backoff.key:
            return
        progress.entry = entry
        definition = find_project(slot.project)
        challenger = find_challenger(definition)
        if challenger is None:
            self._remove(slot, "")
        else:
            self._add(slot, definition, challenger, champion)
        progress.generation = champion.generation
        progress.backoff.reset()

    def _add(self, slot: ServingSlot, definition: Project, challenger: Challenger, champion: LoadedModel) -> None:
        policy = definition.serving
        if policy.challenger == "off":
            return
        loaded = _loaded_challenger(slot, challenger, champion)
        model = loaded or load_champion(_as_champion(challenger, champion.generation))
        share = policy.share if policy.challenger == "canary" else 0.0
        slot.challenger, slot.challenger_problem = ActiveChallenger(model, policy.challenger, share), ""
        with_project(log, slot.project).info("version %d runs as a %s", model.version, policy.challenger)
        self._metrics.challenger.labels(slot.project).set(model.version)
        self._metrics.challenger_share.labels(slot.project).set(share)

    def _remove(self, slot: ServingSlot, problem: str) -> None:
        if problem and problem != slot.challenger_problem:
            log.warning("%s", problem, extra={"project": slot.project})
        slot.challenger, slot.challenger_problem = None, problem
        self._metrics.challenger.labels(slot.project).set(0)
        self._metrics.challenger_share.labels(slot.project).set(0)


def _loaded_challenger(slot: ServingSlot, challenger: Challenger, champion: LoadedModel) -> LoadedModel | None:
    active = slot.find_challenger(champion)
    return active.model if active and active.model.version == challenger.version else None


def _as_champion(challenger: Challenger, generation: int) -> Champion:
    """Presents a challenger as a champion, so that it is loaded and warmed up in the same way."""
    return Champion(challenger.model, challenger.version, generation, datetime.now(UTC), challenger.judged)
