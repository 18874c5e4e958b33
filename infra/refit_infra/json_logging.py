"""JSON logging: one JSON object a line, with the same fields from flows, commands and servers.

`REFIT_LOG_FORMAT=json` makes `infra/refit_infra/logging.yml` write it to standard error. A line holds what the text
form holds: names of projects, counts, ids and error messages; no rows, no secrets, no environment variables.
"""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the HTTP request that is being handled."""
_FIELDS = ("time", "level", "logger", "message", "project", "run_id", "request_id", "exception")
"""The fields of a line, in this order; what libraries add to their records is left out."""
_NAMES = {"levelname": "level", "name": "logger", "flow_run_id": "run_id", "exc_info": "exception"}
"""From the name of a record's field to its name in a line."""


class JsonLines(JsonFormatter):
    """Formats log records as JSON."""

    def __init__(self) -> None:
        fields = ("levelname", "name", "project", "flow_run_id")
        super().__init__(fields, rename_fields=_NAMES, timestamp="time", json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Adds the fields of one line.

        Args:
            log_data: The line's fields, which are added here: `time`, `level`, `logger`, `message`, `project`, `run_id`
                and `request_id` always, and `exception` where one was logged.
            record: The record.
            message_dict: The exception, as text.
        """
        fields: dict[str, Any] = {}
        super().add_fields(fields, record, message_dict)
        run_id, project = _find_run()
        fields["time"] = fields["time"].isoformat(timespec="milliseconds")
        fields |= {"message": record.getMessage(), "request_id": REQUEST.get()}
        fields |= {"project": fields["project"] or project, "run_id": fields["run_id"] or run_id}
        log_data.update((name, fields[name]) for name in _FIELDS if name in fields)


def is_json_format() -> bool:
    """Tells whether logs are JSON. Reads the variable itself, since a wrong setting may be what has to be reported.

    Returns:
        Whether `REFIT_LOG_FORMAT` is `json`.
    """
    return os.environ.get("REFIT_LOG_FORMAT") == "json"


def format_error(sentence: str) -> str:
    """Formats the error that a command ends with.

    Args:
        sentence: The error message.

    Returns:
        One line of JSON.
    """
    return JsonLines().format(logging.LogRecord("refit_deployments", logging.ERROR, "", 0, sentence, (), None))


def _find_run() -> tuple[str | None, str | None]:
    """Finds the id of the current flow run, and its project; both `None` where Prefect is not imported."""
    context: Any = sys.modules.get("prefect.context")
    flow = context.FlowRunContext.get() if context else None
    if flow and flow.flow_run:
        project = (flow.parameters or {}).get("project")
        return str(flow.flow_run.id), str(project) if project else None
    task = context.TaskRunContext.get() if context else None
    run_id = task.task_run.flow_run_id if task else None
    return str(run_id) if run_id else None, None
