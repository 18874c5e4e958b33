"""Logging with a project's name, as the beginning of each message and as a field of its record."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any


class ProjectLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose messages are about one project."""

    def __init__(self, logger: logging.Logger, project: str) -> None:
        super().__init__(logger)
        self._project = project

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Adds the project to a record.

        Args:
            msg: The message, without the project's name.
            kwargs: The other arguments of the logging call.

        Returns:
            The message that begins with the project's name, and the keywords with the field `project`.
        """
        fields = {**(kwargs.get("extra") or {}), "project": self._project}
        return f"{self._project}: {msg}", {**kwargs, "extra": fields}


def with_project(logger: logging.Logger, project: str) -> ProjectLog:
    """Makes a logger whose records name a project.

    Args:
        logger: The logger of a module.
        project: The project's name.

    Returns:
        An adapter of the logger; its records have the field `project`.

    Example:
        >>> with_project(logging.getLogger("shop"), "bikes").process("version %d answers", {})
        ('bikes: version %d answers', {'extra': {'project': 'bikes'}})
    """
    return ProjectLog(logger, project)
