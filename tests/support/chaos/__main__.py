"""The crash matrix; exits non-zero on any inconsistency.

Use: `python -m tests.support.chaos [--boundaries N] [--moments N]`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.support.chaos.matrix import Matrix
from tests.support.chaos.server import prefect_server
from tests.support.chaos.services import kill_postgres, kill_prefect
from tests.support.postgres import binaries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", type=int, help="So many boundaries, evenly spread; every one, if left out.")
    parser.add_argument("--moments", type=int, default=100, help="How many random moments.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--services", type=int, default=5, help="How often Prefect's server and PostgreSQL are killed.")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="refit-chaos-") as scratch, prefect_server(Path(scratch)) as server:
        matrix = Matrix(Path(scratch), given.seed)
        matrix.at_boundaries(given.boundaries)
        matrix.at_moments(given.moments)
        if server:
            kill_prefect(matrix, server, given.services)
        if binaries():
            kill_postgres(matrix, given.services)
    sys.exit(matrix.report())


if __name__ == "__main__":
    main()
