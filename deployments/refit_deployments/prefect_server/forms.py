"""The form of a deployment in the UI: the parameters with titles for people, and limits that the server keeps."""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

from refit.project import Project

TITLES = {
    "project": "Project",
    "as_of": "As of",
    "reason": "Reason",
    "force": "Force",
    "decision": "Decision",
    "event": "Event",
    "start": "From",
    "end": "Until",
    "source": "File or table",
    "to": "To version",
    "version": "Version",
}
TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$"
"""A time as ISO 8601 writes it: the server does not look at formats, and would start a run that cannot be."""


def form(project: Project, flow: Flow[..., Any]) -> dict[str, Any]:
    """Makes the form. A deployment is about one project, so that there is one choice for it.

    Args:
        project: The project.
        flow: The flow.

    Returns:
        A JSON schema of the flow's parameters.
    """
    schema = parameter_schema(flow).model_dump(exclude_unset=True)
    for name, field in schema["properties"].items():
        field["title"] = TITLES.get(name, name)
        for kind in field.get("anyOf", [field]):
            if kind.get("format") == "date-time":
                kind["pattern"] = TIME
    schema["properties"]["project"] |= {"enum": [project.name], "default": project.name}
    return schema
