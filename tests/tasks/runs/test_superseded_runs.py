"""The newest missed run of a schedule does the work, once; on a real server, whose scheduler makes the runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Completed, Failed, Pending, Running, Scheduled

from refit.windows import format_time
from refit_tasks.runs.flow_runs import SKIPPED, complete_with_message, skip_superseded_runs

HOUR = timedelta(hours=1)
worked: list[str] = []


@flow(name="watched")
@skip_superseded_runs
def watched(project: str = "parcels") -> str:
    worked.append(project)
    return complete_with_message("done", "worked")


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    worked.clear()
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployment(client: SyncPrefectClient, request: pytest.FixtureRequest) -> UUID:
    """A deployment of this test alone, whose schedule began an hour into the past of the scheduler."""
    anchor = datetime.now(UTC) - timedelta(minutes=10)
    return client.create_deployment(
        client.create_flow(watched),
        name=request.node.name,
        schedules=[
            DeploymentScheduleCreate(schedule=IntervalSchedule(interval=HOUR, anchor_date=anchor), slug="refit"),
            DeploymentScheduleCreate(
                schedule=IntervalSchedule(interval=HOUR, anchor_date=anchor + timedelta(minutes=5)), slug="other"
            ),
        ],
    )


def missed(client: SyncPrefectClient, deployment: UUID, slug: str = "refit", hours: int = 3) -> list[FlowRun]:
    """Has the scheduler make the runs of the last hours and the next; gives those of a schedule, oldest first."""
    now = datetime.now(UTC)
    window = {"start_time": (now - hours * HOUR).isoformat(), "end_time": (now + HOUR).isoformat()}
    body = {**window, "min_time": ((hours + 1) * HOUR).total_seconds(), "min_runs": 1, "max_runs": 50}
    client._client.post(f"/deployments/{deployment}/schedule", json=body).raise_for_status()  # noqa: SLF001
    found = client._client.post("/flow_runs/filter", json={"deployments": {"id": {"any_": [str(deployment)]}}})  # noqa: SLF001
    runs = [FlowRun.model_validate(run) for run in found.raise_for_status().json()]
    mine = [run for run in runs if run.created_by and run.created_by.display_value == slug]
    return sorted(mine, key=lambda run: run.expected_start_time)


def ended(client: SyncPrefectClient, run: FlowRun) -> tuple[str, str | None]:
    """Runs it as a worker would; gives the state's name and what it says."""
    if client.read_flow_run(run.id).state_type == StateType.SCHEDULED:
        client.set_flow_run_state(run.id, Pending(), force=True)
    run_flow(watched, flow_run=client.read_flow_run(run.id), parameters={}, return_type="state")
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.type == StateType.COMPLETED
    return state.name, state.message


def test_of_three_that_were_missed_the_newest_works(client: SyncPrefectClient, deployment: UUID) -> None:
    oldest, older, newest, future = missed(client, deployment)
    skipped = f"skipped: a newer run of the schedule is due at {format_time(newest.expected_start_time)} UTC"
    assert future.expected_start_time > datetime.now(UTC)
    assert ended(client, oldest) == ("Skipped", skipped)
    assert worked == []
    assert ended(client, newest) == ("Completed", "worked")
    assert ended(client, older) == ("Skipped", skipped), "it waited for a slot, and was overtaken"
    assert worked == ["parcels"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "skips"),
    [
        (Running, True),
        (Completed, True),
        (Cancelled, False),
        (Failed, False),
        (lambda: Completed(name=SKIPPED), False),
    ],
    ids=["running", "completed", "cancelled", "failed", "skipped"],
)
def test_a_newer_run_that_did_no_work_takes_nothing_over(
    client: SyncPrefectClient, deployment: UUID, state: Callable[[], object], skips: bool
) -> None:
    older, newest, _ = missed(client, deployment, hours=2)
    client.set_flow_run_state(newest.id, state(), force=True)
    assert ended(client, older)[0] == ("Skipped" if skips else "Completed")
    assert worked == ([] if skips else ["parcels"])


@pytest.mark.slow
def test_what_a_person_starts_is_never_skipped(client: SyncPrefectClient, deployment: UUID) -> None:
    older, *_ = missed(client, deployment)
    past = datetime.now(UTC) - 4 * HOUR
    by_hand = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=past))
    assert ended(client, by_hand) == ("Completed", "worked")
    assert ended(client, older)[0] == "Skipped"
    client.set_flow_run_state(older.id, Scheduled(), force=True)
    assert ended(client, older) == ("Completed", "worked"), "a person asked for it once more"
    assert worked == ["parcels"] * 2


@pytest.mark.slow
def test_a_run_that_starts_slower_than_the_next_ones_come_due_works(client: SyncPrefectClient) -> None:
    schedule = IntervalSchedule(interval=timedelta(seconds=1))
    deployment = client.create_deployment(
        client.create_flow(watched),
        name="every second",
        schedules=[DeploymentScheduleCreate(schedule=schedule, slug="refit")],
    )
    first, *_ = (run for run in missed(client, deployment, hours=0) if run.expected_start_time > datetime.now(UTC))
    client.set_flow_run_state(first.id, Pending(), force=True)
    time.sleep(3)
    assert ended(client, first) == ("Completed", "worked")


@pytest.mark.slow
def test_another_schedule_of_the_deployment_takes_nothing_over(client: SyncPrefectClient, deployment: UUID) -> None:
    *_, newest, _future = missed(client, deployment)
    *_, other, _future = missed(client, deployment, "other")
    assert other.expected_start_time > newest.expected_start_time
    assert other.expected_start_time <= datetime.now(UTC)
    assert ended(client, newest) == ("Completed", "worked")


def test_a_call_is_no_run_of_a_schedule(prefect_server: None) -> None:
    worked.clear()
    assert watched() == "done"
    assert worked == ["parcels"]
