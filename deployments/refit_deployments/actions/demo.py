"""`refit demo`: the whole loop on generated data, in the home that every other command uses."""

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
from refit_tasks.catalog import declares_project
from refit_tasks.storage.snapshots import last_ingested

PROJECT = "late_delivery"
PROJECTS = "REFIT_PROJECTS"
SWITCH = "REFIT_EXAMPLE_DRIFT"
FIRST = datetime(2026, 4, 12, tzinfo=UTC)
"""The first demo begins here, three months into the generated history; the next one continues where it ended."""
DRIFT = "concept@2026-05-03"
"""From that day on, the outcome depends on the inputs in another way."""
STEP = timedelta(days=7)
STEPS = 7


def run_demo() -> Result:
    """Runs the monitor week by week: a first champion, quiet weeks, drift, a decision, a retrain, a promotion.

    Where the projects directory does not define the project, it is the example that comes with Refit.

    Returns:
        The outcome of each run, and the commands that show more.
    """
    shipped = not declares_project(Settings().projects, PROJECT)
    if shipped:
        os.environ[PROJECTS] = str(example_projects())
    drift = os.environ.setdefault(SWITCH, DRIFT)
    begin = _first_week(last_ingested(PROJECT), datetime.now(UTC))
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
    weeks = [line for outcome in outcomes for line in _week(outcome)]
    newest = retrained[-1]["verdict"]["id"] if retrained else outcomes[-1].decision_id
    commands = _next_commands(drift, newest, shipped=shipped)
    return Result(facts, [f"{PROJECT}{example}, with drift {drift} in its data:", *weeks, *commands])


def example_projects() -> Path:
    """Finds the example projects that come with Refit.

    Returns:
        Their directory: inside the package where Refit is installed, `projects/` of the repository in a checkout.
    """
    package = Path(refit_deployments.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parents[1] / "projects"


def _first_week(ingested: datetime | None, now: datetime) -> datetime:
    begin = FIRST if ingested is None else FIRST + STEP * max(0, (ingested - FIRST) // STEP + 2)
    if begin + STEP * (STEPS - 1) > now:
        raise NoNewData(f"the demo has reached the present day: delete {Settings().home} to start it again")
    return begin


def _week(outcome: MonitorOutcome) -> list[str]:
    because = "; ".join(outcome.decision.reasons) or "no trigger fired"
    lines = [f"  {outcome.as_of:%Y-%m-%d}  {outcome.decision.action:8} {because}"]
    if outcome.retrain is None:
        return lines
    retrain, verdict = outcome.retrain, outcome.retrain.challenger.verdict
    did = f"promoted, generation {retrain.generation}" if retrain.promotion else "rejected"
    sentences = {reason.check: reason.sentence for reason in verdict.reasons if reason.passed == verdict.promote}
    why = sentences.get("not_worse_than_champion") or sentences.get("beats_baseline") or next(iter(sentences.values()))
    return [*lines, f"              version {retrain.challenger.version} {did}: {why}"]


def _next_commands(drift: str, newest: int, *, shipped: bool) -> list[str]:
    refit = f"{_short(Path(sys.executable).parent)}/refit"
    variables = [*([f"{PROJECTS}={_short(Settings().projects)}"] if shipped else []), f"{SWITCH}={shlex.quote(drift)}"]
    return [
        "",
        "Where to look, in this directory:",
        f"  export {' '.join(variables)}",
        f"      selects {'the example project and ' if shipped else ''}the drift in its data for the commands below",
        f"  {refit} report {PROJECT}",
        f"      writes {PROJECT}.html with drift, scores and decisions",
        f"  {refit} status",
        "      shows the champion, the last decision and the budget",
        f"  {refit} why {newest}",
        "      explains the last verdict; other numbers explain a decision or a promotion",
        f"  {refit} monitor {PROJECT}",
        "      monitors the same data as of now",
        f"  {refit} up",
        "      shows the runs and their artifacts at http://127.0.0.1:4200, the versions with verdicts and cards at",
        "      http://127.0.0.1:5000, and runs the schedules until Ctrl-C",
        f"  rm -r {_short(Settings().home)}",
        "      deletes all state of Refit in this directory",
    ]


def _short(path: Path) -> str:
    """Writes a path for a shell, relative where it lies below the current directory."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
