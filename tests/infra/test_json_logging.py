"""Log lines for machines: one object a line, always with the same fields."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from refit_infra.json_logging import REQUEST, JsonLines
from refit_tasks.project_log import with_project
from tests.support.forked_commands import refit

FIELDS = {"time", "level", "logger", "message", "project", "run_id", "request_id"}


def line(message: str, *values: object, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord(
        "refit_tasks.ingestion.ingest", logging.INFO, "", 0, message, values, more.pop("exc_info", None)
    )
    record.__dict__.update(more)
    written = JsonLines().format(record)
    assert "\n" not in written
    return json.loads(written)


def test_every_line_has_the_same_fields() -> None:
    assert set(line("the ledger is intact")) == FIELDS
    told = line("%s: %d rows\nin", "bikes", 3, project="bikes", flow_run_id="b1", color_message="of some library")
    assert set(told) == FIELDS
    assert (told["message"], told["project"], told["run_id"]) == ("bikes: 3 rows\nin", "bikes", "b1")
    assert (told["level"], told["logger"], told["request_id"]) == ("INFO", "refit_tasks.ingestion.ingest", None)
    assert told["time"].endswith("+00:00")
    assert line("%s: what begins like a sentence about a project", "bikes")["project"] is None


def test_the_log_of_a_project_says_so_in_its_text_and_in_a_field(caplog: pytest.LogCaptureFixture) -> None:
    log = with_project(logging.getLogger("refit_tasks.ingestion.ingest"), "bikes")
    log.warning("%d rows in", 3, extra={"flow_run_id": "b1"})
    log.warning("100 % are in")
    rows, share = (json.loads(JsonLines().format(record)) for record in caplog.records)
    assert (rows["message"], rows["project"], rows["run_id"]) == ("bikes: 3 rows in", "bikes", "b1")
    assert (share["message"], share["project"], share["run_id"]) == ("bikes: 100 % are in", "bikes", None)


def test_a_request_and_a_fault_are_named() -> None:
    token = REQUEST.set("mine")
    try:
        {}["docks"]
    except KeyError:
        told = line("it failed", exc_info=sys.exc_info())
    finally:
        REQUEST.reset(token)
    assert told["request_id"] == "mine"
    assert told["exception"].endswith("KeyError: 'docks'")


def test_a_command_writes_nothing_else_to_standard_error() -> None:
    run = refit("doctor", "nobody", REFIT_LOG_FORMAT="json")
    assert run.returncode == 0
    assert [set(json.loads(told)) for told in run.stderr.splitlines()] == []
    run = refit("rollback", "nobody", REFIT_LOG_FORMAT="json")
    (told,) = map(json.loads, run.stderr.splitlines())
    assert (run.returncode, told["level"]) == (1, "ERROR")
    assert "nobody has no champion" in told["message"]
