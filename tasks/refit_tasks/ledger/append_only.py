"""The triggers that keep both tables of the ledger append-only, and the one who may go past them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER {table}_refuses_{change} BEFORE {change} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END"
        for table in ("ledger", "champions")
        for change in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION refit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the table is append-only'; END $$",
        *(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION refit_append_only()"
            for table in ("ledger", "champions")
        ),
    ],
}
"""The statements that make the triggers, by dialect."""


@contextmanager
def unlocked(connection: Connection) -> Iterator[None]:
    """Lets rows be removed within a transaction: for the archive alone, which keeps what it takes away.

    Args:
        connection: From `writing`.

    Yields:
        Nothing; afterwards the tables are append-only again, before anybody else can see them.
    """
    if connection.engine.dialect.name == "sqlite":
        for name in [statement.split()[2] for statement in APPEND_ONLY["sqlite"]]:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield
        for statement in APPEND_ONLY["sqlite"]:
            connection.exec_driver_sql(statement)
        return
    for table in ("ledger", "champions"):
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    yield
    for table in ("ledger", "champions"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
