"""Processes that race to promote, to roll back and to approve: of all that begin from one champion, one wins.

`python -m tests.support.races --processes 50 --rounds 20 --database postgres` runs a large one and prints what came
of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.forked_commands import starter
from tests.support.processes import PATIENCE_SECONDS

AT = datetime(2026, 3, 1, tzinfo=UTC)
PROJECT = "raced"


def rentals(promotion: str = "auto") -> Any:
    """A project that nothing is loaded for."""
    import pandas as pd
    from sklearn.dummy import DummyRegressor

    from refit import GatePolicy, Project

    return Project(
        name=PROJECT,
        kind="regression",
        target="rentals",
        timestamp="at",
        load=lambda _window: pd.DataFrame(),
        build=DummyRegressor,
        gate=GatePolicy(promotion=promotion),
    )


def judged(definition: Any, run_key: str, over: Any) -> Any:
    """Registers a challenger that is fit to serve, compared with a champion."""
    from refit import Window
    from refit.gate.evaluations import Comparison, Evaluation, Judgement
    from refit.records.references import Ingestion, ModelRef, SnapshotRef
    from refit.records.verdicts import Reason, Verdict
    from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
    from refit_tasks.registry.register import register

    client = open_mlflow()
    run = client.create_run(require_experiment(client, PROJECT), run_name=run_key).info.run_id
    client.set_terminated(run)
    window = Window(AT - timedelta(days=60), AT - timedelta(days=30))
    rows = SnapshotRef(PROJECT, 0, window, 1_000, "f" * 32, labelled=True)
    scores = Evaluation(-1.0, (-1.0,) * 6)
    comparison = Comparison("neg_mean_absolute_error", rows, scores, Evaluation(-2.0, (-2.0,) * 6), None)
    verdict = Verdict((Reason("floor", passed=True, value=-1.0, limit=-2.0, sentence="good enough"),))
    model = ModelRef(PROJECT, run, f"file:///models/{run_key}", rows, run_key)
    ingestion = Ingestion(PROJECT, window, 0, 1_000, 1_000, 0, 1_000, 0)
    return register.fn(definition, Judgement(model, comparison, definition.gate, verdict, over, ingestion), AT)


def act(places: dict[str, str], start: Any, results: Any, kind: str, challenger: Any, over: Any) -> None:
    """What one process does when all have come to the line; it says who won, or why it lost."""
    os.environ.update(places)  # the server that forks may have begun with other ones
    from refit.errors import PromotionError
    from refit_tasks.promotion.approve import record_approval
    from refit_tasks.promotion.promote import promote
    from refit_tasks.promotion.rollback import roll_back

    try:
        start.wait(PATIENCE_SECONDS)
        now = datetime.now(UTC)
        if kind == "rollback":
            champion = roll_back(PROJECT, "raced", "a racer", now, over=over.generation)
        elif kind == "approve":
            champion = record_approval.fn(PROJECT, challenger.version, approved=True, who="a racer", why="", at=now)
        else:
            champion = promote.fn(challenger, over, now)
        results.put((champion.generation, champion.version, kind))
    except PromotionError as lost:
        results.put(type(lost).__name__)
    except Exception as fault:  # noqa: BLE001 - without an answer the race would wait for ever
        results.put(f"{type(fault).__name__}: {fault}")


def race(kinds: list[str], rounds: int) -> Iterator[tuple[int, Counter[str], tuple[str, ...]]]:
    """Runs rounds of as many processes as there are kinds.

    Args:
        kinds: What each does: `promote`, `rollback` or `approve`.
        rounds: How often.

    Yields:
        Each round's number, how the processes ended, and what is inconsistent afterwards.
    """
    from refit_tasks.ledger.generations import current_champion

    context = starter()
    places = {name: os.environ[name] for name in ("REFIT_HOME", "REFIT_DATABASE_URL") if name in os.environ}
    over = None
    for number in range(rounds):
        # A rollback needs somebody to return to: the first two rounds are of promotions alone.
        asked = kinds if number > 1 else ["promote"] * len(kinds)
        waits = {kind: rentals("approve" if kind == "approve" else "auto") for kind in set(asked)}
        challengers = [judged(waits[kind], f"{number}-{place}", over) for place, kind in enumerate(asked)]
        start, results = context.Barrier(len(asked)), context.SimpleQueue()
        processes = [
            context.Process(target=act, args=(places, start, results, kind, challenger, over))
            for kind, challenger in zip(asked, challengers, strict=True)
        ]
        for process in processes:
            process.start()
        answers = [results.get() for _ in processes]
        for process in processes:
            process.join(PATIENCE_SECONDS)
        results.close()
        before, over = over, current_champion(PROJECT)
        ended = Counter(answer if isinstance(answer, str) else "won" for answer in answers)
        yield number, ended, tuple(_inconsistent(before, over, answers))


def _inconsistent(before: Any, over: Any, answers: list[Any]) -> Iterator[str]:
    from refit_tasks.ledger.record import verify_ledger
    from refit_tasks.registry.mlflow_client import open_mlflow

    winners = [answer for answer in answers if not isinstance(answer, str)]
    if len(winners) != 1:
        yield f"{len(winners)} winners: {winners}"
    if over.generation != (before.generation if before else 0) + 1:
        yield f"generation {over.generation} follows {before.generation if before else 0}"
    if winners and winners[0][:2] != (over.generation, over.version):
        yield f"{winners[0]} won, and version {over.version} serves"
    aliased = open_mlflow().get_model_version_by_alias(PROJECT, "champion").version
    if int(aliased) != over.version:
        yield f"the alias points to version {aliased}, the ledger to {over.version}"
    verify_ledger()


@contextmanager
def place(database: str, home: Path) -> Iterator[None]:
    """Sets REFIT_HOME, and REFIT_DATABASE_URL where the ledger is to lie in PostgreSQL."""
    from tests.support.postgres import Postgres

    os.environ["REFIT_HOME"] = str(home)
    if database == "sqlite":
        yield
        return
    server = Postgres()
    os.environ["REFIT_DATABASE_URL"] = server.url
    try:
        yield
    finally:
        del os.environ["REFIT_DATABASE_URL"]
        server.close()


def main() -> int:
    """Runs a race and prints each round; the exit code is how many were inconsistent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--mixed", action="store_true", help="promotions, rollbacks and approvals together")
    given = parser.parse_args()
    mixed = ("promote", "rollback", "approve")
    kinds = [mixed[place % 3] if given.mixed else "promote" for place in range(given.processes)]
    wrong, begun = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, place(given.database, Path(scratch) / "home"):
        for number, ended, inconsistent in race(kinds, given.rounds):
            wrong += bool(inconsistent)
            print(f"round {number + 1}: {dict(ended)} {'; '.join(inconsistent) or 'consistent'}", flush=True)  # noqa: T201
    print(f"{given.rounds} rounds of {given.processes} on {given.database}: {wrong} inconsistent", end=" ")  # noqa: T201
    print(f"({time.monotonic() - begun:.0f} s)")  # noqa: T201
    return wrong


if __name__ == "__main__":
    sys.exit(main())
