"""The deployments and automations that the former release made, sent to a Prefect server as it sent them.

`former_deployments.json` is what `refit deploy` of that release (commit e67b9a2) sent to Prefect's API for a project
that has a schedule for each flow and asks a person for approval. Its modules were called `flows`, `tasks` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ask = Callable[[str, str, Any], Any]
"""Asks Prefect's API: method, path and body; gives the answer."""


def make_former_deployments(ask: Ask, project: str, pool: str) -> dict[str, str]:
    """Makes them for a project; gives the ids of the deployments by flow."""
    text = Path(__file__).with_name("former_deployments.json").read_text()
    recorded = json.loads(text.replace('"hours"', json.dumps(project)).replace("hours ", f"{project} "))
    ids = {}
    for one in recorded["deployments"]:
        flow = ask("POST", "/flows/", {"name": one["flow"]})["id"]
        sent = {**one["sent"], "flow_id": flow, "work_pool_name": pool}
        ids[one["flow"]] = ask("POST", "/deployments/", sent)["id"]
    ask("DELETE", f"/automations/owned-by/prefect.deployment.{ids['monitor']}", None)
    for known in ask("POST", "/automations/filter", {}):
        ask("DELETE", f"/automations/{known['id']}", None)
    for automation in recorded["automations"]:
        ask("POST", "/automations/", json.loads(json.dumps(automation).replace("MONITOR", ids["monitor"])))
    return ids
