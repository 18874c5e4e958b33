"""The log of one project: each message begins with the project's name, and its record carries the name as a field."""

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
        """Puts the project into a record.

        Args:
            msg: The message, without the project's name.
            kwargs: What the caller gave beside it.

        Returns:
            The message that begins with the project's name, and the keywords with the field `project`.
        """
        fields = {**(kwargs.get("extra") or {}), "project": self._project}
        return f"{self._project}: {msg}", {**kwargs, "extra": fields}


def with_project(logger: logging.Logger, project: str) -> ProjectLog:
    """Gives the log of a project.

    Args:
        logger: A module's logger.
        project: The project's name.

    Returns:
        The same logger; `project` is a field of all that it records.

    Example:
        >>> with_project(logging.getLogger("shop"), "bikes").process("version %d answers", {})
        ('bikes: version %d answers', {'extra': {'project': 'bikes'}})
    """
    return ProjectLog(logger, project)
