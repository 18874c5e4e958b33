"""`refit demo`: the whole loop on generated data, in the state that every other command sees."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import refit_deployments
from refit.errors import NoNewData
from refit.results.flows import MonitorOutcome
from refit_deployments.output import Result
from refit_flows.monitor import monitor
from refit_infra.settings import Settings
from refit_tasks.catalog import defines
from refit_tasks.storage.snapshots import last_ingested

PROJECT = "late_delivery"
PROJECTS = "REFIT_PROJECTS"
SWITCH = "REFIT_EXAMPLE_DRIFT"
FIRST = datetime(2026, 4, 12, tzinfo=UTC)
"""The first demo looks from here, three months into the generated history; a further one goes on where it ended."""
DRIFT = "concept@2026-05-03"
"""From that day on the outcome follows the inputs in another way."""
STEP = timedelta(days=7)
STEPS = 7


def demo() -> Result:
    """Runs the monitor week by week: a first champion, quiet windows, a drift, a decision, a retrain, a promotion.

    Where the projects directory does not define the project, it is the example that comes with Refit.

    Returns:
        What each run concluded, and where to look.
    """
    shipped = not defines(Settings().projects, PROJECT)
    if shipped:
        os.environ[PROJECTS] = str(example_projects())
    drift = os.environ.setdefault(SWITCH, DRIFT)
    begin = _begin(last_ingested(PROJECT), datetime.now(UTC))
    outcomes = [monitor(PROJECT, as_of=begin + STEP * turn) for turn in range(STEPS)]
    retrained = [outcome.retrain.as_json() for outcome in outcomes if outcome.retrain]
    facts = {
        "project": PROJECT,
        "drift": drift,
        "projects": str(Settings().projects),
        "monitors": [outcome.as_json() for outcome in outcomes],
        "retrains": retrained,
        "home": str(Settings().home),
    }
    example = ", the example that comes with Refit" if shipped else ""
    told = [line for outcome in outcomes for line in _week(outcome)]
    newest = retrained[-1]["verdict"]["id"] if retrained else outcomes[-1].decision_id
    look = _where_to_look(drift, newest, shipped=shipped)
    return Result(facts, [f"{PROJECT}{example}, with the drift {drift} in its data:", *told, *look])


def example_projects() -> Path:
    """Finds the example projects that come with Refit.

    Returns:
        Their directory: inside the package where Refit is installed, `projects/` of the repository in a checkout.
    """
    package = Path(refit_deployments.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parents[1] / "projects"


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


def _where_to_look(drift: str, newest: int, *, shipped: bool) -> list[str]:
    refit = f"{_short(Path(sys.executable).parent)}/refit"
    variables = [*([f"{PROJECTS}={_short(Settings().projects)}"] if shipped else []), f"{SWITCH}={shlex.quote(drift)}"]
    return [
        "",
        "Where to look, in this directory:",
        f"  export {' '.join(variables)}",
        f"      {'the example project and ' if shipped else ''}the drift in its data, for the commands below",
        f"  {refit} report {PROJECT}",
        f"      drift, scores over time and decisions on one page, {PROJECT}.html",
        f"  {refit} status",
        "      who serves, the last decision, what the budget leaves",
        f"  {refit} why {newest}",
        "      the story of the newest verdict; of a decision or a promotion by its number",
        f"  {refit} monitor {PROJECT}",
        "      the next look at the same data",
        f"  {refit} up",
        "      the runs with their artifacts at http://127.0.0.1:4200, the versions with their verdicts and cards at",
        "      http://127.0.0.1:5000; monitors by schedule until Ctrl-C",
        f"  rm -r {_short(Settings().home)}",
        "      deletes all state of Refit in this directory",
    ]


def _short(path: Path) -> str:
    """A path as short as it can be written from here, for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
