"""The database of the ledger: its two tables, and a connection to read or to write them.

SQLite under `REFIT_HOME` by default, PostgreSQL by `REFIT_DATABASE_URL`. Both tables are append-only: triggers refuse
what would change or remove a row.

The triggers that keep both tables of the ledger append-only, and the one who may go past them.

Who may do what to a ledger on PostgreSQL: roles that append or read, and can change or remove nothing.

The tables belong to whoever made them. That role alone can take entries away, as the archive of `refit prune` does, and
runs nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from refit.data.databases import URL_FORM, parse_url
from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.restore_marker import require_complete_restore

_metadata = MetaData()

ledger = Table(
    "ledger",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("project", String(63), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("once", String(64)),
    Column("payload", Text, nullable=False),
    Column("previous", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("project", "kind", "once"),
)
"""All entries of all projects; `once` names what must not be recorded twice, such as a verdict's run key."""

champions = Table(
    "champions",
    _metadata,
    Column("project", String(63), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("ledger_id", ForeignKey("ledger.id"), nullable=False),
)
"""Who serves: each project's newest generation. The promotion itself is the ledger entry it points to."""

_WAIT_SECONDS = "30"
"""How many seconds an SQLite connection waits for another one's transaction."""

_BEGIN_READING = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}
_BEGIN_WRITING = {
    "sqlite": ["BEGIN IMMEDIATE"],
    # A lock of the table that writers exclude each other by asks for leave to change rows. The first release holds such
    # a one: the weak one waits for it. What is read after that must not be older.
    "postgresql": [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SELECT pg_advisory_xact_lock(5273365)",
        "LOCK TABLE ledger IN ROW EXCLUSIVE MODE",
    ],
}
_BEGIN_CREATING = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(5273364)"}


@contextmanager
def reading() -> Iterator[Connection]:
    """Connects to the ledger to read it.

    Yields:
        The connection; all its queries see the ledger as it was at the first one.

    Raises:
        StateError: If the database cannot be used; the message says why and names the fix.
    """
    with _open_engine() as engine, engine.connect() as connection:
        connection.exec_driver_sql(_BEGIN_READING[engine.dialect.name])
        yield connection


@contextmanager
def writing() -> Iterator[Connection]:
    """Connects to the ledger to append to it, alone; commits at the end, or nothing at all after an exception.

    Yields:
        The connection, within a transaction that no other writer's overlaps.

    Raises:
        StateError: If the database cannot be used; the message says why and names the fix.
    """
    with _open_engine() as engine, engine.begin() as connection:
        for statement in _BEGIN_WRITING[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        yield connection


@contextmanager
def _open_engine() -> Iterator[Engine]:
    settings = Settings()
    require_complete_restore()
    if not settings.database_url:
        open_home(settings)
    engine = _make_engine(settings.ledger)
    setting = "REFIT_DATABASE_URL" if settings.database_url else "REFIT_HOME"
    place = engine.url.set(query={}).render_as_string(hide_password=True)
    with translate_store_errors(f"the ledger {place}", setting), translate_permission_errors(place):
        _create_tables(engine)
        yield engine


def _make_engine(address: str) -> Engine:
    """Makes an engine that keeps no connection open: safe to fork, and nothing to close."""
    url = parse_url(address)
    if url is None:
        raise StateError(f"REFIT_DATABASE_URL is not a database URL: write sqlite:///PATH or {URL_FORM}")
    if url.drivername.startswith("sqlite"):
        url = url.update_query_dict({"timeout": _WAIT_SECONDS} | dict(url.query))
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)  # of entries, in what it raises
    except NoSuchModuleError as error:
        raise StateError(
            f"REFIT_DATABASE_URL names {url.drivername}: only sqlite and postgresql keep a ledger"
        ) from error
    except ImportError as error:
        raise StateError(f"REFIT_DATABASE_URL needs a driver that is missing: install {error.name}") from error
    if engine.dialect.name not in _BEGIN_WRITING:
        raise StateError(f"REFIT_DATABASE_URL names {engine.dialect.name}: only sqlite and postgresql keep a ledger")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _decode_invalid_text)
    return engine


def _decode_invalid_text(connection: Connection, _record: object) -> None:
    """Lets bytes that are no UTF-8 be read, so that the entry they were written into can be named."""
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")  # type: ignore[attr-defined]


def _create_tables(engine: Engine) -> None:
    """Creates both tables in one transaction: a killed process leaves none, and the second of two finds them."""
    if inspect(engine).has_table(champions.name):
        return
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    with engine.begin() as connection:
        connection.exec_driver_sql(_BEGIN_CREATING[engine.dialect.name])
        if inspect(connection).has_table(champions.name):
            return
        _metadata.create_all(connection)
        for statement in APPEND_ONLY[engine.dialect.name]:
            connection.exec_driver_sql(statement)


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
def allow_deletion(connection: Connection) -> Iterator[None]:
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


_PERMISSION_DENIED = "42501"

ROLES = """\
-- Roles for the ledger in this database, by its name: DATABASE_writer appends and reads, DATABASE_reader reads.
-- Run as the owner of the tables with the right to make roles; a second time changes nothing. Then give each login one:
--   CREATE ROLE refit LOGIN PASSWORD '...'; GRANT "DATABASE_writer" TO refit;
DO $$
DECLARE
  writer text := current_database() || '_writer';
  reader text := current_database() || '_reader';
  one text;
BEGIN
  IF octet_length(writer) > 63 THEN
    RAISE EXCEPTION 'the name of the database is too long to name roles by it';
  END IF;
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
  FOREACH one IN ARRAY ARRAY[writer, reader] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', one);
    END IF;
    EXECUTE format('REVOKE ALL ON ledger, champions FROM PUBLIC, %I', one);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), one);
    EXECUTE format('GRANT SELECT ON ledger, champions TO %I', one);
  END LOOP;
  EXECUTE format('GRANT INSERT ON ledger, champions TO %I', writer);
END
$$;
"""
"""SQL for `psql`."""


@contextmanager
def translate_permission_errors(place: str) -> Iterator[None]:
    """Turns what a role may not do into a `StateError`.

    Args:
        place: The database's URL without its password.

    Yields:
        Nothing.

    Raises:
        StateError: If PostgreSQL refuses a statement to the role of the URL.
    """
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _PERMISSION_DENIED:
            raise
        raise StateError(
            f"the role in REFIT_DATABASE_URL may not do this in {place} ({str(error.orig).splitlines()[0]}): writers "
            f"append, and the owner alone makes the tables and archives; `refit ledger roles` says who is who"
        ) from error
