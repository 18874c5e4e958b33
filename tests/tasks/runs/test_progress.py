"""The bar on the page of a long task, on a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.runtime import task_run

from refit_tasks.runs.progress import LONG_SECONDS, ProgressBar


class Clock:
    """Goes on by as many seconds as each step of the work takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def bars(project: str) -> list[Artifact]:
    with get_client(sync_client=True) as client:
        key = ArtifactFilterKey(any_=[f"{project}-tuning-progress"])
        return client.read_artifacts(artifact_filter=ArtifactFilter(key=key))


def working(steps: int, seconds: float) -> tuple[str, str, list[float]]:
    """Works in a task, one thread a step; gives the project, the task's run and what the bar showed after each step."""
    project, shown = f"p{uuid4().hex[:8]}", list[float]()

    @task
    def work() -> str:
        clock = Clock()
        gauge = ProgressBar(project, "tuning", clock)
        for done in range(1, steps + 1):
            clock.now += seconds
            with ThreadPoolExecutor(1) as pool:
                pool.submit(gauge.show, done, steps).result()
            shown.extend(float(bar.data) for bar in bars(project))
        return str(task_run.id)

    @flow
    def run() -> str:
        return work()

    return project, run(), shown


def test_a_long_task_has_one_bar_that_ends_full(prefect_server: None) -> None:
    project, run, shown = working(steps=4, seconds=LONG_SECONDS)
    (bar,) = bars(project)
    assert shown == [25.0, 50.0, 75.0, 100.0]
    assert str(bar.task_run_id) == run
    assert bar.flow_run_id is not None
    assert bar.description == f"tuning of {project}: 4 of 4"


def test_a_short_task_has_none(prefect_server: None) -> None:
    project, _, shown = working(steps=4, seconds=LONG_SECONDS / 5)
    assert bars(project) == shown == []


def test_it_moves_once_a_second_at_most_and_at_the_end(prefect_server: None) -> None:
    project, _, shown = working(steps=40, seconds=0.3)
    moves = list(dict.fromkeys(shown))
    assert moves[-1] == 100.0
    assert len(moves) <= 40 * 0.3 - LONG_SECONDS + 2
    assert len(bars(project)) == 1


def test_outside_of_a_run_there_is_none(prefect_server: None) -> None:
    clock, project = Clock(), f"p{uuid4().hex[:8]}"
    gauge = ProgressBar(project, "tuning", clock)
    clock.now = 60.0
    gauge.show(1, 1)
    assert bars(project) == []
