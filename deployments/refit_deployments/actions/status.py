"""The commands that read the record: who serves, since when, and why.

`refit report`: the page about a project.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refit.errors import StateError
from refit.monitoring.decide import DecisionRecord
from refit.monitoring.guards import remaining_budget
from refit.project import Project
from refit.records.ledger import Entry, from_payload
from refit.records.references import Champion
from refit_deployments.actions.champion import champion_facts
from refit_deployments.output import Result
from refit_tasks.catalog import choose_projects, find_project
from refit_tasks.decision.history import read_history
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, entry, latest
from refit_tasks.registry.challengers import find_pending
from refit_tasks.reporting.entry_story import story
from refit_tasks.reporting.report import report_page, save_page
from refit_tasks.storage.predictions_table import scored_until
from refit_tasks.storage.quarantine_table import count_quarantined


def status(project: str | None) -> Result:
    """Shows one project's state, or every project's.

    Args:
        project: The project's name, or `None` for all.

    Returns:
        The champion, the last verdict and the size of the quarantine of each.
    """
    chosen, broken = choose_projects(project)
    states = {definition.name: _state(definition) for definition in chosen}
    lines = [line for name, state in states.items() for line in _state_lines(name, state)]
    return Result(
        {"projects": states, "broken": broken},
        [*lines, *dict.fromkeys(broken.values())] or ["no projects"],
    )


def _state(definition: Project) -> dict[str, Any]:
    serving, verdict = current_champion(definition.name), latest(definition.name, "verdict")
    waiting = [one.version for one in find_pending(definition.name, serving)]
    until = scored_until(definition.name)
    return {
        "champion": champion_facts(serving) if serving else None,
        "last_verdict": {"id": verdict.id, "at": verdict.at.isoformat()} if verdict else None,
        "pending": waiting,
        "challenger": _beside(definition, serving) if waiting and definition.key else None,
        "scored_until": until.isoformat() if until else None,
        "quarantined": count_quarantined(definition),
        **_watch(definition),
    }


def _beside(definition: Project, champion: Champion | None) -> dict[str, Any] | None:
    """How a challenger does beside the champion; what computes scores is only imported where there is one."""
    from refit_tasks.prediction.compare import compare_challenger

    found = compare_challenger(definition, champion, datetime.now(UTC))
    if found is None:
        return None
    facts = found.as_json()
    return {**facts["challenger"], "comparisons": facts["comparisons"], "sentence": found.words}


def _watch(definition: Project) -> dict[str, Any]:
    """What the monitor has decided, and what it is still allowed to start."""
    now = datetime.now(UTC)
    history = read_history(definition.name, now)
    former, left = history.former, remaining_budget(history, definition.monitoring)
    if former is None or left is None:
        return {"last_monitor": None, "last_decision": None, "cooldown_until": None, "budget_left": None}
    return {
        "last_monitor": _last_monitor(definition.name),
        "last_decision": {"id": former.id, "action": former.action, "trigger": former.trigger},
        "cooldown_until": left.cooldown_until.isoformat() if left.cooldown_until else None,
        "budget_left": {"retrains": left.retrains, "minutes": left.minutes},
    }


def _last_monitor(project: str) -> str | None:
    """Finds the instant that the newest decision of a monitor looked from; a person's retrain is a decision, too."""
    evidence = (from_payload(DecisionRecord, made.payload).evidence for made in entries(project, "decision"))
    looked = (found.as_of for found in evidence if found.request is None or found.request.by != "manual")
    newest = next(looked, None)
    return newest.isoformat() if newest else None


def _state_lines(name: str, state: dict[str, Any]) -> list[str]:
    serving, verdict, decision = state["champion"], state["last_verdict"], state["last_decision"]
    who = (
        f"version {serving['version']} serves since {serving['since']}, trained on {serving['trained_on']['rows']:,} "
        f"rows until {serving['trained_on']['end']}"
        if serving
        else f"no champion yet: run `refit retrain {name}`"
    )
    judged = f"; last verdict: refit why {verdict['id']}" if verdict else ""
    decided = (
        f"; last decision: {decision['action']} (refit why {decision['id']}), "
        f"{state['budget_left']['retrains']} retrains left"
        if decision
        else ""
    )
    waiting = "".join(f"; version {one} waits: refit approve {name} {one}" for one in state["pending"])
    scored = f"; rows until {state['scored_until']} are scored" if state["scored_until"] else ""
    beside = f"; {state['challenger']['sentence']}" if state["challenger"] else ""
    return [f"{name}: {who}; {state['quarantined']:,} rows in quarantine{judged}{decided}{scored}{waiting}{beside}"]


def why(identifier: int) -> Result:
    """Tells the story of a ledger entry.

    Args:
        identifier: The entry's number.

    Returns:
        What was recorded, as sentences and as it stands.

    Raises:
        StateError: If the ledger has no such entry.
    """
    found = entry(identifier)
    if found is None:
        raise StateError(f"the ledger has no entry {identifier}: `refit status` names the newest ones")
    return Result(_entry(found), story(found))


def _entry(found: Entry) -> dict[str, Any]:
    return {
        "id": found.id,
        "project": found.project,
        "kind": found.kind,
        "at": found.at.isoformat(),
        "payload": found.payload,
        "hash": found.hash,
    }


def write_report(project: str, out: Path | None) -> Result:
    """Writes one self-contained HTML page.

    Args:
        project: The project's name.
        out: The file; by default `PROJECT.html` in the current directory.

    Returns:
        Where it lies and how large it is.

    Raises:
        StateError: If the ledger cannot be read or the file cannot be written.
    """
    definition = find_project(project)
    file = (out or Path(f"{definition.name}.html")).expanduser().absolute()
    size = save_page(report_page(definition, datetime.now(UTC)), file)
    return Result({"project": project, "file": str(file), "bytes": size}, [f"{file} ({size / 1000:,.0f} kB)"])
