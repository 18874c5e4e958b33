"""Challengers in the ledger: those that passed the gate and wait for approval, and the verdicts they have."""

from __future__ import annotations

from refit.gate.evaluations import Judgement
from refit.project import Project
from refit.records.ledger import Entry, from_payload
from refit.records.references import Challenger, Champion
from refit_tasks.ledger.generations import current_champion, generation_of
from refit_tasks.ledger.record import ALL_ENTRIES, entries, entry, entry_once

SEARCHED_VERDICTS = 100
"""How many of the newest verdicts are searched: older ones were compared with champions long gone."""


def find_challenger(definition: Project, champion: Champion | None = None) -> Challenger | None:
    """Finds the challenger that runs beside the champion, by the project's `ServingPolicy`.

    Args:
        definition: The project.
        champion: The champion; read from the ledger by default.

    Returns:
        The newest challenger that waits for approval; `None` if none does, or the policy is off.
    """
    if definition.serving.challenger == "off":
        return None
    return next(iter(find_pending(definition.name, champion)), None)


def find_pending(project: str, champion: Champion | None = None) -> list[Challenger]:
    """Finds the challengers that wait for approval.

    Args:
        project: The project's name.
        champion: The champion; read from the ledger by default.

    Returns:
        The challengers that passed the gate, whose policy requires approval, that were neither approved nor refused,
        and that were compared with the current champion; the newest first.
    """
    generation = generation_of(champion or current_champion(project))
    found = []
    for made in entries(project, "verdict", newest=SEARCHED_VERDICTS):
        judgement = from_payload(Judgement, made.payload)
        asks = judgement.verdict.promote and judgement.policy.promotion == "approve"
        if asks and judgement.generation == generation and not entry_once(project, "approval", str(made.id)):
            found.append(read_challenger(made))
    return found


def read_challenger(judged: Entry) -> Challenger:
    """Reads a challenger from the ledger.

    Args:
        judged: An entry of the kind `verdict`.

    Returns:
        The challenger.
    """
    judgement = from_payload(Judgement, judged.payload)
    version, judged_model = judged.payload["version"], judgement.model if judgement.served else None
    return Challenger(judgement.serving, version, judgement.verdict, judged.id, judged_model)


def find_verdict_of_version(project: str, version: int) -> Challenger | None:
    """Finds the newest verdict on a version.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The recorded challenger; `None` if the ledger has no verdict on the version.
    """
    verdicts = entries(project, "verdict", newest=ALL_ENTRIES)
    return next((read_challenger(made) for made in verdicts if made.payload["version"] == version), None)


def read_judgement(challenger: Challenger) -> Judgement | None:
    """Reads the verdict of a challenger with its evidence.

    Args:
        challenger: A recorded challenger.

    Returns:
        The judgement; `None` if the ledger does not have its entry.
    """
    judged = entry(challenger.verdict_id)
    return from_payload(Judgement, judged.payload) if judged else None
