"""A project as its file has it becomes one of this installation: its environment, and where its rows lie."""

from __future__ import annotations

from refit.project import Project
from refit_infra.settings import Settings
from refit_tasks.ingestion.requested_rows import with_requests


def bound(definition: Project) -> Project:
    """Gives a project what only an installation knows.

    Args:
        definition: The project, as its file has it.

    Returns:
        The project, whose gate promotes as it is to in this environment; a load that takes requests for rows knows
        where they lie.
    """
    gate = definition.gate
    promotion = gate.environments.get(Settings().environment, gate.promotion)
    if promotion != gate.promotion:
        definition = definition.model_copy(update={"gate": gate.model_copy(update={"promotion": promotion})})
    return with_requests(definition)
