"""What the image starts: `python -m infra.start COMMAND ...` gives a command its secrets from files and becomes it."""

from __future__ import annotations

import os
import sys

from infra.secret_files import from_files


def main() -> None:
    """Becomes the command that the arguments name.

    Raises:
        SystemExit: If there is no such command, or a secret's file cannot be read.
    """
    command = sys.argv[1:]
    if not command:
        sys.exit("infra.start: name a command, such as `refit status`")
    try:
        os.environ.update(from_files(os.environ))
        os.execvp(command[0], command)  # noqa: S606 - to become what it was asked for is what it is for
    except ValueError as fault:
        sys.exit(f"infra.start: {fault}")
    except OSError as fault:
        sys.exit(f"infra.start: {command[0]} cannot be started ({fault.strerror}): name a command that is installed")


if __name__ == "__main__":
    main()
