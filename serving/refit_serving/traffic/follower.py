"""The thread that follows the ledger: who is champion answers within seconds, and never before it has warmed up."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event, Thread

from refit.errors import describe_error
from refit.records.references import Champion
from refit_serving.metrics.server_metrics import Metrics
from refit_serving.rows.loaded_model import LoadedModel, load_champion
from refit_serving.traffic.canary import ActiveChallenger
from refit_tasks.ledger.database import reading
from refit_tasks.ledger.generations import newest_champion
from refit_tasks.project_log import with_project
from refit_tasks.retries import LOAD_WAIT, Backoff

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0


@dataclass(slots=True)
class ServingSlot:
    """Who answers for a project. `served` is only ever replaced as a whole."""

    project: str
    served: LoadedModel | None = None
    trouble: str = ""
    """Why the champion of the ledger does not answer, in one sentence."""
    pause: Backoff = field(default_factory=lambda: Backoff(LOAD_WAIT))
    """For the generation that failed its warm-up."""
    trial: ActiveChallenger | None = None
    """Who stands beside the champion; only ever replaced as a whole, by `refit_serving.traffic.challengers`."""
    trial_trouble: str = ""
    """Why a challenger does not stand there, in one sentence."""

    def trial_beside(self, champion: LoadedModel) -> ActiveChallenger | None:
        """Finds the challenger that stands beside a version.

        Args:
            champion: The version that answers.

        Returns:
            Its trial; `None` where there is none, or it stands beside another generation.
        """
        trial = self.trial
        return trial if trial and trial.served.generation == champion.generation else None


class Follower:
    """Keeps the seats of some projects in step with the ledger."""

    def __init__(self, projects: Iterable[str], metrics: Metrics) -> None:
        self.seats = {project: ServingSlot(project) for project in projects}
        self.trouble = ""
        """Why the ledger cannot be asked, in one sentence."""
        self._metrics = metrics
        self._stopping = Event()
        self._thread = Thread(target=self._follow, name="refit-follower", daemon=True)

    def start(self) -> None:
        """Looks once, and goes on in a thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a version that is being loaded is left to itself."""
        self._stopping.set()

    def look(self) -> None:
        """Asks the ledger once, and brings each seat in step with it."""
        try:
            with reading() as connection:
                champions = {project: newest_champion(connection, project) for project in self.seats}
        except Exception as fault:  # noqa: BLE001 - whoever answers goes on, whatever has become of the database
            self._metrics.ledger_failures.inc()
            self._complain(f"the ledger cannot be read ({describe_error(fault)})")
            return
        self.trouble = ""
        for project, champion in champions.items():
            self._bring(self.seats[project], champion)

    def _follow(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self.look()

    def _bring(self, seat: ServingSlot, champion: Champion | None) -> None:
        if champion is None:
            seat.trouble = f"{seat.project} has no champion yet: run refit retrain {seat.project}"
        elif seat.served is None or champion.generation != seat.served.generation:
            if not seat.pause.holds(champion.generation):
                self._replace(seat, champion)
        else:
            seat.trouble = ""

    def _replace(self, seat: ServingSlot, champion: Champion) -> None:
        """Loads the champion beside the version that answers, and lets it answer from one request to the next."""
        try:
            served = load_champion(champion)
        except Exception as fault:  # noqa: BLE001 - a stored model may raise anything, and the former one goes on
            self._refuse(seat, champion, fault)
            return
        seat.served, seat.trouble = served, ""
        seat.pause.end()
        self._metrics.version.labels(seat.project).set(served.version)
        self._metrics.generation.labels(seat.project).set(served.generation)
        self._metrics.refused.labels(seat.project).set(0)
        with_project(log, seat.project).info("version %d answers, generation %d", served.version, served.generation)

    def _refuse(self, seat: ServingSlot, champion: Champion, fault: Exception) -> None:
        goes_on = f"version {seat.served.version} goes on" if seat.served else "nobody answers"
        sentence = f"{seat.project}: version {champion.version} failed its warm-up, {goes_on} ({describe_error(fault)})"
        if sentence != seat.trouble:
            log.error("%s", sentence, extra={"project": seat.project})
        seat.trouble = sentence
        seat.pause.begin(champion.generation)
        self._metrics.refused.labels(seat.project).set(champion.version)

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error("%s: whoever answers goes on", trouble)
        self.trouble = trouble
