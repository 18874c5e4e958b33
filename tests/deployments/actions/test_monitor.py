"""`refit monitor`, `status` and `why` as programs and people meet them: keys, exit codes and sentences."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from refit_deployments.actions.status import show_status
from refit_deployments.actions.why import explain_entry
from tests.support.watched_project import START, Depot, recorded, refit, rows_of

TEXT, NUMBER, FLAG = str, (int, float), bool


@pytest.fixture
def depot(tmp_path: Path, prefect_server: None, mlflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    monkeypatch.setenv("REFIT_SERVING_FORM", "scikit-learn")
    return depot


def monitored(day: int, *options: str) -> dict[str, Any]:
    run, answer = refit("monitor", "parcels", "--as-of", (START + timedelta(days=day)).isoformat(), *options)
    assert run.returncode == 0, run.stderr
    return answer


def is_shaped(value: Any, shape: Any) -> bool:
    """Holds a value against keys and types; `None` among several types allows null."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and is_shaped(value[key], shape[key]) for key in shape)
    if isinstance(shape, tuple) and None in shape:
        return value is None or is_shaped(value, shape[0])
    return isinstance(value, shape) and (shape is FLAG or not isinstance(value, bool))


COLUMN = {"psi": NUMBER, "distance": NUMBER, "missing_change": NUMBER, "p_value": NUMBER, "drifted": FLAG}
DRIFT = {"columns": {"weight": COLUMN, "distance": COLUMN}, "share": NUMBER, "score_psi": (NUMBER, None)}
PERFORMANCE = {
    "metric": TEXT, "reference": NUMBER, "current": NUMBER, "rows_mature": int, "change": NUMBER, "interval": list,
}  # fmt: skip
MONITOR = {
    "project": TEXT, "as_of": TEXT, "champion": ({"version": int}, None), "nothing_new": FLAG, "seconds": NUMBER,
    "window": {"start": TEXT, "end": TEXT, "rows": int}, "drift": {"columns": dict, "share": NUMBER},
    "performance": (PERFORMANCE, None), "retrain": ({"run_id": TEXT}, None),
    "decision": {"id": int, "action": TEXT, "reasons": list, "trigger": (TEXT, None)},
}  # fmt: skip
STATUS = {
    "champion": {"version": int, "since": TEXT, "trained_on": dict}, "last_monitor": TEXT, "quarantined": int,
    "last_decision": {"id": int, "action": TEXT, "trigger": (TEXT, None)},
    "cooldown_until": TEXT, "budget_left": {"retrains": int},
}  # fmt: skip
REASON = {"check": TEXT, "fired": FLAG, "sentence": TEXT, "value": (NUMBER, None), "limit": (NUMBER, None)}


@pytest.mark.slow
def test_keys_types_and_exit_codes(depot: Depot) -> None:
    first = monitored(40)
    assert is_shaped(first, MONITOR)
    assert (first["champion"], first["performance"], first["drift"]["columns"]) == (None, None, {})
    assert first["retrain"]["outcome"]["promoted"]

    quiet = monitored(46)
    assert is_shaped(quiet, MONITOR)
    assert is_shaped(quiet["drift"], DRIFT)
    assert quiet["champion"]["version"] == 1
    assert all(is_shaped(reason, REASON) for reason in quiet["decision"]["reasons"])
    assert (quiet["decision"]["action"], quiet["decision"]["trigger"], quiet["retrain"]) == ("wait", None, None)
    assert quiet["window"]["rows"] == quiet["performance"]["rows_mature"] == 1500
    low, high = quiet["performance"]["interval"]
    assert low < quiet["performance"]["current"] < high

    run, shown = refit("status")
    assert run.returncode == 0
    state = shown["projects"]["parcels"]
    assert is_shaped(state, STATUS)
    assert state["last_decision"]["id"] == quiet["decision"]["id"]
    assert datetime.fromisoformat(state["last_monitor"]) == START + timedelta(days=46)
    assert datetime.fromisoformat(state["cooldown_until"]) == START + timedelta(days=45)
    assert state["budget_left"]["retrains"] == 6

    depot.deliver(rows_of(80).drop(columns="late"))
    for code, kind, arguments in (
        (1, "ContractViolation", ("monitor", "parcels", "--as-of", "2026-02-20")),
        (2, "UsageError", ("monitor", "parcels", "--as-of", "2999-01-01")),
    ):
        run, answer = refit(*arguments)
        assert (run.returncode, answer["kind"]) == (code, kind)
        assert "Traceback" not in run.stderr


def test_a_retrain_by_a_person_is_a_decision_and_no_monitor_run(depot: Depot) -> None:
    before = show_status("parcels").facts["projects"]["parcels"]
    assert [before[key] for key in ("last_monitor", "last_decision", "cooldown_until", "budget_left")] == [None] * 4
    depot.retrain(40)
    after = show_status("parcels").facts["projects"]["parcels"]
    assert (after["last_monitor"], after["last_decision"]["action"]) == (None, "retrain")
    assert datetime.fromisoformat(after["cooldown_until"]) == START + timedelta(days=45)


@pytest.mark.slow
def test_every_entry_tells_its_story(depot: Depot) -> None:
    depot.deliver(rows_of(80, turned=40))
    depot.monitor(40)
    depot.monitor(46)
    told = {kind: [" ".join(explain_entry(one["id"]).lines) for one in recorded(kind)] for kind in KINDS}
    assert all(told.values())
    for stories in told.values():
        assert all(story.startswith("Entry ") and story.endswith((".", "}")) for story in stories)
    first, second = told["decision"]
    assert "no champion." in first
    assert "Decision: retrain, trigger first." in first
    assert "Performance: roc_auc is" in second
    assert "champion of generation 1." in second
    assert "minutes: promoted." in told["retrain"][0]
    assert f"Its decision: refit why {recorded('decision')[0]['id']}." in told["retrain"][0]
    assert "reason for the run: first, decision" in told["verdict"][0]
    assert "became champion, generation 1, as the first champion" in told["promotion"][0]
    assert "A data contract of" in told["contract"][0]


KINDS = ("contract", "verdict", "promotion", "decision", "retrain")


@pytest.mark.slow
def test_people_get_the_same_in_words(depot: Depot) -> None:
    from refit_deployments.actions.monitor import run_monitor

    told = "\n".join(run_monitor("parcels", START + timedelta(days=40), None).lines)
    assert "parcels as of 2026-02-10 UTC: retrain (decision 2)" in told
    assert "there is no champion yet" in told
    assert "promoted, generation 1" in told
    assert "refit why 2" in told
    depot.monitor(46)
    again = "\n".join(run_monitor("parcels", START + timedelta(days=46), None).lines)
    assert "no new rows since" in again
    assert "no trigger fired" in again
