"""The thread that follows the challengers: one that waits for approval stands beside its champion within seconds."""

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
    """What was seen when a trial was last brought in step."""

    generation: int = 0
    """The champion's."""
    entry: int = 0
    """The project's newest one in the ledger: while both stay, so does the challenger."""
    pause: Backoff = field(default_factory=lambda: Backoff(LOAD_WAIT))


class ChallengerFollower:
    """Keeps the trials of some seats in step with the ledger, apart from the champions: what fails here stays here."""

    def __init__(self, seats: Iterable[ServingSlot], metrics: Metrics) -> None:
        self._seats = [(seat, _Progress()) for seat in seats]
        self._metrics = metrics
        self._stopping = Event()
        self._thread = Thread(target=self._follow, name="refit-challengers", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a version that is being loaded is left to itself."""
        self._stopping.set()

    def look(self) -> None:
        """Brings each trial in step with the ledger; where that fails, the champion answers alone."""
        for seat, known in self._seats:
            try:
                self._bring(seat, known)
            except Exception as fault:  # noqa: BLE001 - a project file or a stored model may raise anything
                known.pause.begin(known.entry)
                self._end(seat, f"{seat.project}: the champion answers alone ({describe_error(fault)})")

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(EVERY_SECONDS)

    def _bring(self, seat: ServingSlot, known: _Progress) -> None:
        champion, newest = seat.served, entries(seat.project, newest=1)
        entry = newest[0].id if newest else 0
        if champion is None or known.pause.holds(entry):
            return
        if (champion.generation, entry) == (known.generation, known.entry) and not known.pause.about:
            return
        known.entry = entry
        definition = find_project(seat.project)
        challenger = find_challenger(definition)
        if challenger is None:
            self._end(seat, "")
        else:
            self._begin(seat, definition, challenger, champion)
        known.generation = champion.generation
        known.pause.end()

    def _begin(self, seat: ServingSlot, definition: Project, challenger: Challenger, champion: LoadedModel) -> None:
        policy = definition.serving
        if policy.challenger == "off":
            return
        served = _loaded_challenger(seat, challenger, champion) or load_champion(
            _as_champion(challenger, champion.generation)
        )
        share = policy.share if policy.challenger == "canary" else 0.0
        seat.trial, seat.trial_trouble = ActiveChallenger(served, policy.challenger, share), ""
        with_project(log, seat.project).info("version %d stands beside as a %s", served.version, policy.challenger)
        self._metrics.challenger.labels(seat.project).set(served.version)
        self._metrics.share.labels(seat.project).set(share)

    def _end(self, seat: ServingSlot, trouble: str) -> None:
        if trouble and trouble != seat.trial_trouble:
            log.warning("%s", trouble, extra={"project": seat.project})
        seat.trial, seat.trial_trouble = None, trouble
        self._metrics.challenger.labels(seat.project).set(0)
        self._metrics.share.labels(seat.project).set(0)


def _loaded_challenger(seat: ServingSlot, challenger: Challenger, champion: LoadedModel) -> LoadedModel | None:
    sitting = seat.trial_beside(champion)
    return sitting.served if sitting and sitting.served.version == challenger.version else None


def _as_champion(challenger: Challenger, generation: int) -> Champion:
    """A challenger is loaded and warmed up like a champion: by the same door, as it would serve."""
    return Champion(challenger.model, challenger.version, generation, datetime.now(UTC), challenger.judged)
