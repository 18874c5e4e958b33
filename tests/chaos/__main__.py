"""The crash matrix: `python -m tests.chaos [--boundaries N] [--moments N]`; exits non-zero on any inconsistency."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.chaos.matrix import Matrix
from tests.chaos.server import prefect_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", type=int, help="So many boundaries, evenly spread; every one, if left out.")
    parser.add_argument("--moments", type=int, default=100, help="How many random moments.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="refit-chaos-") as scratch, prefect_server(Path(scratch)):
        matrix = Matrix(Path(scratch), given.seed)
        matrix.at_boundaries(given.boundaries)
        matrix.at_moments(given.moments)
    sys.exit(matrix.report())


if __name__ == "__main__":
    main()
