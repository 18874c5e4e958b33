"""The image's entry point: `python -m refit_infra.start COMMAND ...` sets the environment as `refit` does, and runs it.

So Prefect's and MLflow's own commands get their secrets from files, keep quiet and log like Refit's.
"""

from __future__ import annotations

import os
import sys

from refit_infra.settings import Settings, settle


def main() -> None:
    """Becomes the command that the arguments name.

    Raises:
        SystemExit: If there is no such command, a setting is wrong, or a secret's file cannot be read.
    """
    command = sys.argv[1:]
    if not command:
        sys.exit("refit_infra.start: name a command, such as `refit status`")
    try:
        settle(Settings())
        os.execvp(command[0], command)  # noqa: S606 - to become what it was asked for is what it is for
    except ValueError as fault:
        sys.exit(f"refit_infra.start: {fault}")
    except OSError as fault:
        sys.exit(f"refit_infra.start: {fault.filename or command[0]}: {fault.strerror}")


if __name__ == "__main__":
    main()
