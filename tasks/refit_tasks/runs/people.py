"""Who is at the keyboard, and who asked for a run."""

from __future__ import annotations

import os
from getpass import getuser

ASKED_BY = "asked by "
"""What stands before a name in the tag of a run that somebody has started for a worker to do."""


def whoever() -> str:
    """Names the person at the command line, for the record.

    Returns:
        The login name; the user's number where a container gives it no name.
    """
    try:
        return getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def asked_by() -> str:
    """Names the person who asked for the flow run that this is called in.

    Returns:
        The login name of whoever runs it here, or of whoever has started its deployment from a command line; nothing
        where Prefect's own pages, a schedule or an automation did.
    """
    from prefect.runtime import deployment, flow_run

    tagged = [tag.removeprefix(ASKED_BY) for tag in flow_run.tags or () if tag.startswith(ASKED_BY)]
    return tagged[0] if tagged else "" if deployment.id else whoever()
