"""Log lines for machines: one JSON object a line, with the same fields from flows, commands and servers.

`REFIT_LOG_FORMAT=json` has `infra/refit_infra/logging.yml` write them to standard error. Nothing is in a line that is
not in its text form: names of projects, counts and ids, and what a fault says; no rows, no secrets, no environment.
"""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered."""
_FIELDS = ("time", "level", "logger", "message", "project", "run_id", "request_id", "exception")
"""All that a line may hold, in this order: what libraries add to their records is in none."""
_NAMES = {"levelname": "level", "name": "logger", "flow_run_id": "run_id", "exc_info": "exception"}
"""From what a record calls a field to what a line calls it."""


class JsonLines(JsonFormatter):
    """Writes records as JSON."""

    def __init__(self) -> None:
        asked = ("levelname", "name", "project", "flow_run_id")
        super().__init__(asked, rename_fields=_NAMES, timestamp="time", json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fills one line.

        Args:
            log_data: The line's fields, which are added here: `time`, `level`, `logger`, `message`, `project`, `run_id`
                and `request_id` always, and `exception` where one was logged.
            record: What was logged.
            message_dict: The exception, as text.
        """
        found: dict[str, Any] = {}
        super().add_fields(found, record, message_dict)
        run_id, project = _run()
        found["time"] = found["time"].isoformat(timespec="milliseconds")
        found |= {"message": record.getMessage(), "request_id": REQUEST.get()}
        found |= {"project": found["project"] or project, "run_id": found["run_id"] or run_id}
        log_data.update((name, found[name]) for name in _FIELDS if name in found)


def lines_are_json() -> bool:
    """Tells whether what goes to standard error is for machines; read by itself, since settings may be what is wrong.

    Returns:
        Whether `REFIT_LOG_FORMAT` says so.
    """
    return os.environ.get("REFIT_LOG_FORMAT") == "json"


def fault_line(sentence: str) -> str:
    """Writes the sentence that a command ends with.

    Args:
        sentence: What went wrong.

    Returns:
        One line.
    """
    return JsonLines().format(logging.LogRecord("refit_deployments", logging.ERROR, "", 0, sentence, (), None))


def _run() -> tuple[str | None, str | None]:
    """Finds the flow run that this is called in, and its project; nothing where Prefect is not even imported."""
    context: Any = sys.modules.get("prefect.context")
    flow = context.FlowRunContext.get() if context else None
    if flow and flow.flow_run:
        project = (flow.parameters or {}).get("project")
        return str(flow.flow_run.id), str(project) if project else None
    task = context.TaskRunContext.get() if context else None
    run_id = task.task_run.flow_run_id if task else None
    return str(run_id) if run_id else None, None
