"""What a run tells the server on its way out."""

from __future__ import annotations

import time

import pytest
from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.runtime import flow_run

from refit_tasks.runs.flow_runs import WAITS, suspended_heartbeat


@pytest.mark.slow
def test_a_run_that_is_suspended_says_that_it_waits(prefect_server: None) -> None:
    ids: list[str] = []

    @flow
    def asks(stop: bool) -> None:
        ids.append(f"prefect.flow-run.{flow_run.id}")
        with suspended_heartbeat():
            if stop:
                raise Pause

    def said() -> list[str]:
        chosen = {"filter": {"event": {"name": [WAITS]}, "related": {"id": ["prefect.tag.refit"]}}}
        with get_client(sync_client=True) as client:
            found = client.request("POST", "/events/filter", json=chosen).json()["events"]
        return [one["resource"]["prefect.resource.id"] for one in found]

    with tags("refit"):
        asks(stop=False)
        with pytest.raises(Pause):
            asks(stop=True)
    deadline = time.monotonic() + 30
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert said() == [ids[-1]]
