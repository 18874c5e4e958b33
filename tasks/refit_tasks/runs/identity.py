"""The identity of the current user and of a run's requester, and what vouches for each.

The operating system vouches for the account of a process. Environment variables such as `LOGNAME` and `GITHUB_ACTOR`,
the name that a person types and a tag of a run in Prefect are statements: they are recorded, and vouch for nothing.
"""

from __future__ import annotations

import os
import pwd
import socket

REQUESTER_TAG = "asked by "
"""The prefix of the run tag that names the person who started a deployment from the command line."""
PREFECT_FORM = "Prefect's form, where the name is typed"
"""What vouches for an answer that was given in the Prefect UI: the access to it, and no name."""
CI_VARIABLES = {
    "GITHUB_ACTIONS": ("GitHub Actions", "GITHUB_ACTOR"),
    "GITLAB_CI": ("GitLab CI", "GITLAB_USER_LOGIN"),
    "CIRCLECI": ("CircleCI", "CIRCLE_USERNAME"),
    "JENKINS_URL": ("Jenkins", "BUILD_USER_ID"),
}
"""For the variable by which a CI system is recognized: its name, and its variable for the person."""


def current_user() -> str:
    """Reads the account of this process from the operating system, never from environment variables.

    Returns:
        The account's name; the user id if it has no name, as in some containers.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def describe_voucher() -> str:
    """Describes what vouches for the current user.

    Returns:
        The account and the machine; in CI also the system and the person whom its variables name.
    """
    account = f"the account {current_user()} on {socket.gethostname()}"
    for variable, (system, person) in CI_VARIABLES.items():
        if os.environ.get(variable):
            named = os.environ.get(person, "")[:100]
            return f"{account}, a job of {system}" + (f" whose variables name {named}" if named else "")
    return account


def find_run_requester() -> str:
    """Finds the person who requested the current flow run.

    Returns:
        The account that runs it here, or that started its deployment from the command line; empty if the Prefect UI, a
        schedule or an automation started it.
    """
    from prefect.runtime import deployment, flow_run

    tagged = [tag.removeprefix(REQUESTER_TAG) for tag in flow_run.tags or () if tag.startswith(REQUESTER_TAG)]
    return tagged[0] if tagged else "" if deployment.id else current_user()
