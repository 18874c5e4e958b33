"""What must hold after a kill and one rerun, and after `refit doctor`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.support.chaos.depot import Scenario


def show_faults(scenario: Scenario) -> None:
    """Writes what does not hold, and how often somebody became champion, as JSON."""
    from refit_tasks.ledger.record import entries

    name = scenario.project
    crowned = len(entries(name, "promotion")) + len(entries(name, "rollback"))
    sys.stdout.write(json.dumps({"faults": list(_faults(scenario)), "crowned": crowned}))


def _faults(scenario: Scenario) -> Iterator[str]:
    yield from _ledger_faults(scenario.project)
    yield from _mlflow_faults(scenario.project)
    yield from _table_faults(scenario)
    yield from _prediction_faults(scenario)
    yield from _left_faults(scenario.project)


def _ledger_faults(name: str) -> Iterator[str]:
    from refit_tasks.decision.history import read_history
    from refit_tasks.ledger.record import entries, verify_ledger

    verify_ledger()
    keys = Counter(made.payload["model"]["run_key"] for made in entries(name, "verdict"))
    yield from (f"{count} verdicts on run key {key}" for key, count in keys.items() if count > 1)
    for one in read_history(name, datetime.now(UTC)).attempts:
        if one.ending is None:
            yield f"decision {one.decision} is open"


def _mlflow_faults(name: str) -> Iterator[str]:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.ledger.record import entries
    from refit_tasks.registry.alias import aliased_version
    from refit_tasks.registry.mlflow_client import open_mlflow
    from refit_tasks.registry.unfinished_runs import find_open_trainings, find_pending_models

    client, serving = open_mlflow(), current_champion(name)
    experiment = client.get_experiment_by_name(name).experiment_id
    aliased = aliased_version(client, name)
    if serving is None or aliased is None or serving.version != int(aliased.version):
        yield f"the alias is {aliased and aliased.version}, the champion {serving and serving.version}"
    yield from (f"run {run.info.run_id} is RUNNING" for run in find_open_trainings(client, experiment))
    yield from (f"model {model.model_id} is PENDING" for model in find_pending_models(client, experiment))
    versions = [int(one.version) for one in client.search_model_versions(f"name = '{name}'")]
    judged = [made.payload["version"] for made in entries(name, "verdict")]
    if sorted(versions) != sorted(judged):
        yield f"versions {sorted(versions)} and verdicts on {sorted(judged)}"


def _table_faults(scenario: Scenario) -> Iterator[str]:
    from refit_tasks.storage.delta import open_table, read

    for name, rows in ((scenario.project, scenario.rows), (f"{scenario.project}__quarantine", None)):
        table = open_table(name)
        ids = [one for part in read(table, ["id"]) for one in part["id"].to_pylist()] if table else []
        if len(ids) != len(set(ids)) or (rows is not None and len(ids) != rows):
            yield f"the table {name} holds {len(ids)} rows, {len(set(ids))} of them different"


def _prediction_faults(scenario: Scenario) -> Iterator[str]:
    from refit_tasks.storage.delta import open_table, read
    from refit_tasks.storage.predictions_table import predictions_of

    table = open_table(predictions_of(scenario.project))
    ids = [one for part in read(table, ["key__id"]) for one in part["key__id"].to_pylist()] if table else []
    if len(ids) != len(set(ids)) or len(ids) != scenario.scored:
        yield f"there are {len(ids)} predictions of {len(set(ids))} rows, not of {scenario.scored}"


def _left_faults(name: str) -> Iterator[str]:
    from refit_tasks.decision.lock import is_retrain_running, lock_owner_file

    if is_retrain_running(name) or lock_owner_file(name).exists():
        yield "the turn is taken"


def doctored(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Says what a second doctor has still found."""
    if "findings" not in first or "findings" not in second:
        return [f"the doctor failed: {first} {second}"]
    return [f"a second doctor found: {one['sentence']}" for one in second["findings"]]
