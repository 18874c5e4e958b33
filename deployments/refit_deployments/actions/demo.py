"""`refit demo`: the whole loop on generated data, in the state that every other command sees."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from refit.errors import NoNewData
from refit.results.flows import MonitorOutcome
from refit_deployments.output import Result
from refit_flows.monitor import monitor
from refit_infra.settings import Settings
from refit_tasks.storage.snapshots import last_ingested

PROJECT = "late_delivery"
SWITCH = "REFIT_EXAMPLE_DRIFT"
FIRST = datetime(2026, 4, 12, tzinfo=UTC)
"""The first demo looks from here, three months into the generated history; a further one goes on where it ended."""
DRIFT = "concept@2026-05-03"
"""From that day on the outcome follows the inputs in another way."""
STEP = timedelta(days=7)
STEPS = 7


def demo() -> Result:
    """Runs the monitor week by week: a first champion, quiet windows, a drift, a decision, a retrain, a promotion.

    Returns:
        What each run concluded, and where to look.
    """
    drift = os.environ.setdefault(SWITCH, DRIFT)
    begin = _begin(last_ingested(PROJECT), datetime.now(UTC))
    outcomes = [monitor(PROJECT, as_of=begin + STEP * turn) for turn in range(STEPS)]
    retrained = [outcome.retrain.as_json() for outcome in outcomes if outcome.retrain]
    facts = {
        "project": PROJECT,
        "drift": drift,
        "monitors": [outcome.as_json() for outcome in outcomes],
        "retrains": retrained,
        "home": str(Settings().home),
    }
    told = [line for outcome in outcomes for line in _week(outcome)]
    return Result(facts, [f"{PROJECT}, with the drift {drift} in its data:", *told, *_where_to_look(drift)])


def _begin(ingested: datetime | None, now: datetime) -> datetime:
    begin = FIRST if ingested is None else FIRST + STEP * max(0, (ingested - FIRST) // STEP + 2)
    if begin + STEP * (STEPS - 1) > now:
        raise NoNewData(f"the demo has come to the present day: delete {Settings().home} to begin it anew")
    return begin


def _week(outcome: MonitorOutcome) -> list[str]:
    because = "; ".join(outcome.decision.reasons) or "no trigger fired"
    lines = [f"  {outcome.as_of:%Y-%m-%d}  {outcome.decision.action:8} {because}"]
    if outcome.retrain is None:
        return lines
    retrain, verdict = outcome.retrain, outcome.retrain.challenger.verdict
    did = f"promoted, generation {retrain.generation}" if retrain.promotion else "rejected"
    told = {reason.check: reason.sentence for reason in verdict.reasons if reason.passed == verdict.promote}
    why = told.get("not_worse_than_champion") or told.get("beats_baseline") or next(iter(told.values()))
    return [*lines, f"              version {retrain.challenger.version} {did}: {why}"]


def _where_to_look(drift: str) -> list[str]:
    home, tools = shlex.quote(str(Settings().home)), _tools()
    return [
        "",
        "Where to look:",
        f"  {tools}/refit report {PROJECT}   drift, scores over time and decisions on one page, {PROJECT}.html",
        f"  {tools}/refit status                 who serves, the last decision, what the budget leaves",
        f"  {tools}/refit why ID                 the story of a decision, a verdict or a promotion",
        f"  {SWITCH}={drift} {tools}/refit up",
        "      the runs with their artifacts at http://127.0.0.1:4200, the versions with their verdicts and cards at",
        "      http://127.0.0.1:5000; it goes on watching by schedule until Ctrl-C",
        f"  {SWITCH}={drift} {tools}/refit monitor {PROJECT}",
        "      goes on in the same made-up world; without the variable it is one without the drift",
        f"  rm -r {home}",
        "      forgets everything",
    ]


def _tools() -> str:
    """Where the commands of this environment are, as short as it can be said from here."""
    tools, here = Path(sys.executable).parent, Path.cwd()
    return shlex.quote(str(tools.relative_to(here) if tools.is_relative_to(here) else tools))
