"""`refit demo`: the main job on generated data, in the state that every other command sees."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from deployments.output import Answer
from deployments.retraining import describe
from flows.retrain import retrain
from infra.settings import Settings
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
    _find_examples()
    begin = _next(last_ingested(PROJECT))
    outcomes = [retrain(PROJECT, as_of=begin + STEP * turn, reason="demo") for turn in range(2)]
    facts = {"retrains": [outcome.as_json() for outcome in outcomes], "home": str(Settings().home)}
    return Answer(facts, [line for outcome in outcomes for line in describe(outcome)] + _where_to_look())


def _find_examples() -> None:
    """Falls back to the examples that were installed with Refit, where the directory has no project files."""
    packaged = find_spec("projects")
    if not Settings().projects.is_dir() and packaged and packaged.submodule_search_locations:
        os.environ["REFIT_PROJECTS"] = str(Path(packaged.submodule_search_locations[0]))


def _next(ingested: datetime | None) -> datetime:
    return FIRST if ingested is None else max(FIRST, ingested + STEP)


def _where_to_look() -> list[str]:
    settings = Settings()
    return [
        "",
        "Where to look:",
        "  refit status                who serves, and the last verdict",
        f"  refit champion {PROJECT}  what it was trained on",
        "  refit why ID                the story of a verdict or a promotion",
        f"  mlflow ui --backend-store-uri {settings.mlflow}   versions, runs, verdicts (http://127.0.0.1:5000)",
        f"  PREFECT_HOME={settings.home / 'prefect'} prefect server start   runs and artifacts (http://127.0.0.1:4200)",
        f"  rm -r {settings.home}   forgets everything",
    ]
