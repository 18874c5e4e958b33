"""Log lines for machines: one JSON object a line, with the same fields from flows, commands and servers.

`REFIT_LOG_FORMAT=json` has `infra/refit_infra/logging.yml` write them to standard error. Nothing is in a line that is
not in its text form: names of projects, counts and ids, and what a fault says; no rows, no secrets, no environment.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered."""
_OF_A_PROJECT = "%s: "
"""What begins a sentence about a project."""


class JsonLines(logging.Formatter):
    """Writes records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Writes one record.

        Args:
            record: What was logged.

        Returns:
            One line; `time`, `level`, `logger`, `message`, `project`, `run_id` and `request_id` are always there, and
            `exception` is where one was logged.
        """
        run_id, project = _run()
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "project": _project(record) or project,
            "run_id": getattr(record, "flow_run_id", None) or run_id,
            "request_id": REQUEST.get(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False, default=str)


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


def _project(record: logging.LogRecord) -> str | None:
    named = isinstance(record.args, tuple) and record.args and str(record.msg).startswith(_OF_A_PROJECT)
    return str(record.args[0]) if named and isinstance(record.args, tuple) else None


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
