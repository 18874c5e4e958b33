"""The serving slots of the projects, and the thread that loads a new champion into its slot within seconds."""

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
"""How often the ledger is read."""


@dataclass(slots=True)
class ServingSlot:
    """The model that serves a project, and its challenger. Both are only ever replaced as a whole, by the followers."""

    project: str
    model: LoadedModel | None = None
    """The champion, or the previous one while the champion cannot be loaded."""
    problem: str = ""
    """Why the champion of the ledger does not serve, in one sentence."""
    backoff: Backoff = field(default_factory=lambda: Backoff(LOAD_WAIT))
    """For the generation that failed its warm-up."""
    challenger: ActiveChallenger | None = None
    challenger_problem: str = ""
    """Why the challenger of the ledger does not run, in one sentence."""

    def find_challenger(self, champion: LoadedModel) -> ActiveChallenger | None:
        """Gives the challenger that runs beside a champion.

        Args:
            champion: The model that serves.

        Returns:
            The challenger; `None` if there is none, or it runs beside another generation.
        """
        challenger = self.challenger
        return challenger if challenger and challenger.model.generation == champion.generation else None


class Follower:
    """Updates the serving slots of some projects from the ledger."""

    def __init__(self, projects: Iterable[str], metrics: Metrics) -> None:
        self.slots = {project: ServingSlot(project) for project in projects}
        self.problem = ""
        """Why the ledger cannot be read, in one sentence."""
        self._metrics = metrics
        self._stop = Event()
        self._thread = Thread(target=self._follow, name="refit-follower", daemon=True)

    def start(self) -> None:
        """Updates the slots once, and starts the thread that goes on with it."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """Tells the thread to end, without waiting for a model that it is loading."""
        self._stop.set()

    def refresh(self) -> None:
        """Reads the champions from the ledger, and updates the slots. No failure stops what serves."""
        try:
            with reading() as connection:
                champions = {project: newest_champion(connection, project) for project in self.slots}
        except Exception as fault:  # noqa: BLE001 - the loaded models serve on, whatever has become of the database
            self._metrics.ledger_failures.inc()
            self._report(f"the ledger cannot be read ({describe_error(fault)})")
            return
        self.problem = ""
        for project, champion in champions.items():
            self._update(self.slots[project], champion)

    def _follow(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self.refresh()

    def _update(self, slot: ServingSlot, champion: Champion | None) -> None:
        if champion is None:
            slot.problem = f"project {slot.project!r} has no champion yet: run `refit retrain {slot.project}`"
        elif slot.model is None or champion.generation != slot.model.generation:
            if not slot.backoff.is_waiting(champion.generation):
                self._replace(slot, champion)
        else:
            slot.problem = ""

    def _replace(self, slot: ServingSlot, champion: Champion) -> None:
        """Loads the champion beside the model that serves, and swaps them between two requests."""
        try:
            model = load_champion(champion)
        except Exception as fault:  # noqa: BLE001 - a stored model may raise anything, and the previous one serves on
            self._reject(slot, champion, fault)
            return
        slot.model, slot.problem = model, ""
        slot.backoff.reset()
        self._metrics.version.labels(slot.project).set(model.version)
        self._metrics.generation.labels(slot.project).set(model.generation)
        self._metrics.refused_version.labels(slot.project).set(0)
        with_project(log, slot.project).info("version %d serves, generation %d", model.version, model.generation)

    def _reject(self, slot: ServingSlot, champion: Champion, fault: Exception) -> None:
        instead = f"version {slot.model.version} serves on" if slot.model else "no version serves"
        problem = f"{slot.project}: version {champion.version} failed its warm-up, {instead} ({describe_error(fault)})"
        if problem != slot.problem:
            log.error("%s", problem, extra={"project": slot.project})
        slot.problem = problem
        slot.backoff.fail(champion.generation)
        self._metrics.refused_version.labels(slot.project).set(champion.version)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s: the loaded models serve on", problem)
        self.problem = problem
