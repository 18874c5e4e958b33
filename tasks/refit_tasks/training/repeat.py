"""Whether there is anything to retrain: the same rows, code and settings are judged once."""

from __future__ import annotations

from itertools import count

from refit.errors import NoNewData
from refit.project import Project
from refit.records.references import Champion
from refit.records.snapshots import Split
from refit_tasks.registry.provenance import run_key
from refit_tasks.registry.recipe import recipe_changed
from refit_tasks.registry.register import find_verdict, is_settled, was_overtaken


def may_repeat(definition: Project, champion: Champion | None, force: bool) -> bool:
    """Tells whether it makes sense to judge on rows that the champion has been judged on before.

    Args:
        definition: The project.
        champion: The one that serves, if any.
        force: Whether a person asks for it.

    Returns:
        Whether a person does, or the project's code or packages have changed since the champion was trained.
    """
    return force or (champion is not None and recipe_changed(definition, champion.model))


def open_run_key(definition: Project, parts: Split, force: bool) -> str:
    """Finds the key of the run to do: a new one, or one that a crash left before its promotion.

    Args:
        definition: The project.
        parts: The rows to train and to judge on.
        force: Whether to train again where the verdict on these rows stands.

    Returns:
        A run key whose verdict is not settled yet; a new one where another champion came before the last promotion.

    Raises:
        NoNewData: If rows, code and settings are those of a settled verdict, and `force` is not set.
    """
    for attempt in count():
        key = run_key(definition, parts, attempt)
        verdict = find_verdict(definition, key)
        if verdict is None or not is_settled(verdict):
            return key
        if not force and not was_overtaken(verdict):
            raise NoNewData(
                f"{definition.name} has no new data since version {verdict.version} was judged: wait for rows, "
                f"give a later --as-of, or add --force to train again on the same ones"
            )
    raise AssertionError("count() ends never")
