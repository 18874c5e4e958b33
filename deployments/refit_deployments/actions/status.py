"""`refit status`: champion, last decision, budget and quarantine of each project, from the ledger and the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from refit.monitoring.decide import DecisionRecord
from refit.monitoring.guards import remaining_budget
from refit.project import Project
from refit.records.ledger import from_payload
from refit.records.references import Champion
from refit.windows import format_time
from refit_deployments.actions.champion import champion_facts
from refit_deployments.output import Result
from refit_tasks.catalog import choose_projects, read_declaration
from refit_tasks.decision.history import read_history
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, latest
from refit_tasks.registry.challengers import find_pending
from refit_tasks.storage.predictions_table import scored_until
from refit_tasks.storage.quarantine_table import count_quarantined


def show_status(project: str | None) -> Result:
    """Shows the state of one project, or of every project.

    Args:
        project: The project's name, or `None` for all.

    Returns:
        The champion, the last verdict and decision, the budget and the size of the quarantine of each.
    """
    chosen, broken = choose_projects(project, read_declaration)
    states = {definition.name: _read_state(definition) for definition in chosen}
    lines = [_describe(name, state) for name, state in states.items()]
    return Result(
        {"projects": states, "broken": broken},
        [*lines, *dict.fromkeys(broken.values())] or ["REFIT_PROJECTS has no project files"],
    )


def _read_state(definition: Project) -> dict[str, Any]:
    serving, verdict = current_champion(definition.name), latest(definition.name, "verdict")
    waiting = [one.version for one in find_pending(definition.name, serving)]
    until = scored_until(definition.name)
    return {
        "champion": champion_facts(serving) if serving else None,
        "last_verdict": {"id": verdict.id, "at": verdict.at.isoformat()} if verdict else None,
        "pending": waiting,
        "challenger": _compare_challenger(definition, serving) if waiting and definition.key else None,
        "scored_until": until.isoformat() if until else None,
        "quarantined": count_quarantined(definition),
        **_read_decisions(definition),
    }


def _compare_challenger(definition: Project, champion: Champion | None) -> dict[str, Any] | None:
    """Compares a waiting challenger with the champion; the engines are imported only where there is one."""
    from refit_tasks.prediction.compare import compare_challenger

    found = compare_challenger(definition, champion, datetime.now(UTC))
    if found is None:
        return None
    facts = found.as_json()
    return {**facts["challenger"], "comparisons": facts["comparisons"], "sentence": found.words}


def _read_decisions(definition: Project) -> dict[str, Any]:
    """Reads the last decision of the monitor, and what budget and cooldown still allow."""
    history = read_history(definition.name, datetime.now(UTC))
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
    """Finds the `as_of` of the last monitor run; a manual retrain records a decision, too."""
    evidence = (from_payload(DecisionRecord, made.payload).evidence for made in entries(project, "decision"))
    looked = (found.as_of for found in evidence if found.request is None or found.request.by != "manual")
    newest = next(looked, None)
    return newest.isoformat() if newest else None


def _describe(name: str, state: dict[str, Any]) -> str:
    verdict, decision, until = state["last_verdict"], state["last_decision"], state["scored_until"]
    parts = [
        _describe_champion(name, state["champion"]),
        f"{state['quarantined']:,} rows in quarantine",
        f"last verdict: refit why {verdict['id']}" if verdict else "",
        f"last decision: {decision['action']} (refit why {decision['id']})" if decision else "",
        f"{state['budget_left']['retrains']} retrains left in the budget" if decision else "",
        f"rows until {_for_people(until)} are scored" if until else "",
        *(f"version {one} waits for approval: refit approve {name} {one}" for one in state["pending"]),
        state["challenger"]["sentence"] if state["challenger"] else "",
    ]
    return f"{name}: {'; '.join(filter(None, parts))}"


def _describe_champion(name: str, serving: dict[str, Any] | None) -> str:
    if serving is None:
        return f"no champion yet: run `refit retrain {name}`"
    rows = serving["trained_on"]
    return (
        f"version {serving['version']} is champion since {_for_people(serving['since'])}, trained on {rows['rows']:,} "
        f"rows until {_for_people(rows['end'])}"
    )


def _for_people(moment: str) -> str:
    return format_time(datetime.fromisoformat(moment))
