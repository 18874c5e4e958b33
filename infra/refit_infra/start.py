"""Entry point of the image: `python -m refit_infra.start COMMAND ...` sets the environment as `refit` does and runs it.

So Prefect's and MLflow's own commands, too, read secrets from files, send no telemetry, and log like Refit's.
"""

from __future__ import annotations

import os
import sys

from refit_infra.settings import Settings, apply_environment


def main() -> None:
    """Replaces this process by the command in the arguments.

    Raises:
        SystemExit: If the command does not exist, a setting is not valid, or the file of a secret cannot be read.
    """
    command = sys.argv[1:]
    if not command:
        sys.exit("refit_infra.start: no command: add one, such as `refit status`")
    try:
        apply_environment(Settings())
        os.execvp(command[0], command)  # noqa: S606 - running the given command is its purpose
    except ValueError as fault:
        sys.exit(f"refit_infra.start: {fault}")
    except OSError as fault:
        sys.exit(f"refit_infra.start: {fault.filename or command[0]}: {fault.strerror}")


if __name__ == "__main__":
    main()
