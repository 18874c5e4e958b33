"""Runs the benchmarks, each in a process of its own, so that none inherits another's memory."""

from __future__ import annotations

import argparse
import subprocess
import sys

NAMES = ("columns", "command_time", "ingestion", "retrain", "drift", "false_alarms", "scheduled", "serving", "year")


def main() -> None:
    """Runs the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all, if left out")
    chosen = parser.parse_args().names or NAMES
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(NAMES)}")
    for name in chosen:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


main()
