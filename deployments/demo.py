"""`refit demo`: the main job on generated data, in the state that every other command sees."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deployments.output import Answer
from deployments.retraining import describe
from flows.retrain import retrain
from infra.settings import Settings
from refit.errors import NoNewData
from tasks.snapshot import last_ingested

PROJECT = "bike_demand"
FIRST = datetime(2026, 4, 1, tzinfo=UTC)
"""The first demo looks from here, three months into the generated history; a further one goes on where it ended."""
STEP = timedelta(days=30)


def demo() -> Answer:
    """Retrains the example twice, a month apart: the second challenger is judged against the first champion.

    Returns:
        Both outcomes, and where to look.
    """
    begin = _begin(last_ingested(PROJECT), datetime.now(UTC))
    outcomes = [retrain(PROJECT, as_of=begin + STEP * turn, reason="demo") for turn in range(2)]
    facts = {"retrains": [outcome.as_json() for outcome in outcomes], "home": str(Settings().home)}
    return Answer(facts, [line for outcome in outcomes for line in describe(outcome)] + _where_to_look())


def _begin(ingested: datetime | None, now: datetime) -> datetime:
    begin = FIRST if ingested is None else FIRST + STEP * max(0, (ingested - FIRST) // STEP + 2)
    if begin + STEP > now:
        raise NoNewData(f"the demo has come to the present day: delete {Settings().home} to begin it anew")
    return begin


def _where_to_look() -> list[str]:
    home, tools, mlflow = shlex.quote(str(Settings().home)), _tools(), shlex.quote(Settings().mlflow)
    return [
        "",
        "Where to look:",
        f"  {tools}/refit status                  who serves, and the last verdict",
        f"  {tools}/refit champion {PROJECT}    what it was trained on",
        f"  {tools}/refit why ID                  the story of a verdict or a promotion",
        f"  {tools}/mlflow ui --workers 1 --backend-store-uri {mlflow}",
        "      the versions with their verdicts, at http://127.0.0.1:5000",
        f"  PREFECT_HOME={home}/prefect {tools}/prefect server start",
        "      the runs with their steps and artifacts, at http://127.0.0.1:4200",
        f"  rm -r {home}",
        "      forgets everything",
    ]


def _tools() -> str:
    """Where the commands of this environment are, as short as it can be said from here."""
    tools, here = Path(sys.executable).parent, Path.cwd()
    return shlex.quote(str(tools.relative_to(here) if tools.is_relative_to(here) else tools))
