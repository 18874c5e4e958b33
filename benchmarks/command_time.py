"""The processor time of commands that read the record, as a ratio to `refit --help` in the same run.

Each command runs in a process of its own, on a home with a champion, decisions and quarantined rows. The first group
imports no engine and should cost at most 3 times the help; the second is for comparison.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.recorded_hours import record_hours

REFIT = str(Path(sys.executable).with_name("refit"))
REPEATS = 7
LIMIT = 3.0
"""The ratio of the first group that should not be exceeded."""
HELP = ("--help",)
COMPLETION = {"_REFIT_COMPLETE": "complete_bash", "COMP_WORDS": "refit status h", "COMP_CWORD": "2"}
READERS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "why": ("why", "1"),
    "champion": ("champion", "hours"),
    "log": ("log",),
    "ledger verify": ("ledger", "verify"),
    "quarantine list": ("quarantine", "hours", "list"),
    "card": ("card", "hours"),
}
OTHERS: dict[str, tuple[str, ...]] = {"report": ("report", "hours"), "check": ("check", "hours")}


def main() -> None:
    """Prints a table of the median times and their ratios."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, **record_hours(Path(directory))}
        commands = {"--help": HELP, **READERS, **OTHERS}
        costs = {name: [] for name in (*commands, "completion")}
        for _ in range(REPEATS):  # in turn, so that a busy moment of the machine meets all of them
            for name, arguments in commands.items():
                costs[name].append(cpu_seconds(arguments, environment, Path(directory)))
            costs["completion"].append(cpu_seconds((), environment | COMPLETION, Path(directory)))
    medians = {name: statistics.median(seconds) for name, seconds in costs.items()}
    print(f"{'command':<18}{'CPU seconds':>12}{'x help':>8}")
    for name, seconds in medians.items():
        ratio = seconds / medians["--help"]
        over = f"  more than {LIMIT:g}" if name in READERS and ratio > LIMIT else ""
        print(f"{name:<18}{seconds:>12.2f}{ratio:>8.1f}{over}")


def cpu_seconds(arguments: tuple[str, ...], environment: Mapping[str, str], place: Path) -> float:
    """Runs a command to its end.

    Args:
        arguments: The command and its arguments.
        environment: Its environment variables.
        place: Its working directory.

    Returns:
        User and system time of the process and its children, in seconds.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([REFIT, *arguments], env=environment, cwd=place, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
