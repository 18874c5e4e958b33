"""A version that serves: loaded through the allow-list, and warmed up before it answers anybody."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from refit.answering import Answerer
from refit.errors import ModelError
from refit.gate.serving import AGREEMENT
from refit.models import Champion
from refit.received import Wanted, made_up
from tasks.catalog import find_project
from tasks.model_files import fetched, kinds_beside
from tasks.model_store import load_model
from tasks.recorded_features import others_of, recorded_features

log = logging.getLogger(__name__)

QUICK_SECONDS = 0.005
SINGLY = 20
"""So many rows are asked for one by one when a version warms up."""


@dataclass(frozen=True, slots=True)
class Served:
    """One version of one project. Nothing of it changes: whoever holds it gets answers of this version alone."""

    project: str
    version: int
    generation: int
    wanted: Wanted
    key: tuple[str, ...]
    """The project's key columns."""
    timestamp: str
    """The project's column of event times."""
    model: Answerer
    quick: bool = False
    """Whether it answers a row sooner than another thread would be asked and heard."""


def prepared(champion: Champion) -> Served:
    """Loads a champion's model and has it answer, before it answers anybody else.

    Args:
        champion: The champion, by the ledger.

    Returns:
        The version, fit to serve.

    Raises:
        RefitError: If the model cannot be loaded, or does not answer rows that it was trained on.
    """
    definition = find_project(champion.model.project)
    with fetched(champion.model) as directory:
        kinds = kinds_beside(directory)
        if not kinds:
            raise ModelError(f"version {champion.version} does not say what its features are: retrain the project")
        model = load_model(directory, definition.trusted_types)
    served = Served(
        project=definition.name,
        version=champion.version,
        generation=champion.generation,
        wanted=Wanted(kinds, others_of(definition)),
        key=definition.key,
        timestamp=definition.timestamp,
        model=Answerer(model),
    )
    rows = recorded_features(definition, champion.model.trained_on, kinds)
    if rows is None:
        _try_out(served)
        return served
    apart, seconds = served.model.warm_up(rows, SINGLY)
    if apart > AGREEMENT:
        raise ModelError(
            f"version {served.version} says one thing of a row alone and another of it among others: "
            f"let another version serve by `refit rollback {served.project}`"
        )
    return replace(served, quick=seconds < QUICK_SECONDS)


def _try_out(served: Served) -> None:
    """Asks for one row made up; that it is refused proves nothing, since it may hold a category that nobody knows."""
    try:
        served.model.say(made_up(served.wanted).features)
    except ModelError as refused:
        log.info("%s: version %d refuses a row made up: %s", served.project, served.version, refused)
