"""What a scheduled monitor with nothing to do costs under `refit up`, beside an empty Prefect flow on the same worker.

Counted from the scheduled time to Completed. The worker starts both ahead of time, so that imports are over by then.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.running_up import ENDED, NOW, Hosted, hosted

REPEATS = 5
AHEAD_SECONDS = 20
BARE = '''
from prefect import flow


@flow
def bare() -> None:
    """Nothing."""
'''


def main() -> None:
    """Prints both and their ratio."""
    with tempfile.TemporaryDirectory() as directory, hosted(Path(directory), "") as host:
        host.until_ready()
        host.refit("retrain", "parcels", "--as-of", f"{NOW - timedelta(days=20):%Y-%m-%dT%H:%M}")
        host.refit("monitor", "parcels")
        bare = _deploy_bare(host, Path(directory))
        monitor = host.deployment("monitor")["id"]
        costs = {"monitor": [_cost(host, monitor, {"project": "parcels"}) for _ in range(REPEATS)]}
        costs["an empty flow"] = [_cost(host, bare, {}) for _ in range(REPEATS)]
    for name, seconds in costs.items():
        print(f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")
    ratio = statistics.median(costs["monitor"]) / statistics.median(costs["an empty flow"])
    print(f"a monitor with nothing to do costs {ratio:.1f} times an empty flow, from scheduled time to Completed")


def _deploy_bare(host: Hosted, directory: Path) -> str:
    (directory / "bare.py").write_text(BARE)
    flow = host.ask("POST", "/flows/", {"name": "bare"})["id"]
    wanted = {"name": "bare", "flow_id": flow, "work_pool_name": "refit", "entrypoint": f"{directory}/bare.py:bare"}
    deployment: str = host.ask("POST", "/deployments/", {**wanted, "path": str(directory), "pull_steps": []})["id"]
    return deployment


def _cost(host: Hosted, deployment: str, parameters: dict[str, str]) -> float:
    due = (datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    asked = {"parameters": parameters, "state": state}
    run = host.ask("POST", f"/deployments/{deployment}/create_flow_run", asked)["id"]
    while (found := host.ask("GET", f"/flow_runs/{run}"))["state_type"] not in ENDED:
        time.sleep(0.5)
    assert found["state_type"] == "COMPLETED", found["state"]
    begun, ended = (datetime.fromisoformat(found[field]) for field in ("expected_start_time", "end_time"))
    return (ended - begun).total_seconds()


if __name__ == "__main__":
    main()
