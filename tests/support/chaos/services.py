"""What stands behind a command is killed in place of it: Prefect's server, PostgreSQL as the ledger's database."""

from __future__ import annotations

import os

from tests.support.chaos.depot import SCENARIOS
from tests.support.chaos.matrix import Matrix
from tests.support.chaos.server import Server
from tests.support.postgres import Postgres

FIRST, NEXT = SCENARIOS[0], SCENARIOS[2]


def kill_prefect(matrix: Matrix, server: Server, times: int) -> None:
    """Kills the server during a retrain, and starts it again on its database; the retrain finds it there, or fails."""

    def kill_and_start() -> None:
        server.kill()
        server.start()

    for _ in range(times):
        matrix.kill_service(NEXT, "Prefect's server", kill_and_start, lambda: None)


def kill_postgres(matrix: Matrix, times: int) -> None:
    """Kills the ledger's database during a first retrain, and starts it again once that has ended."""
    for _ in range(times):
        database = Postgres()
        os.environ["REFIT_DATABASE_URL"] = database.url
        try:
            matrix.kill_service(FIRST, "PostgreSQL", database.kill, database.start)
        finally:
            del os.environ["REFIT_DATABASE_URL"]
            database.close()
