"""The ledger's database: its two append-only tables, the triggers and roles that protect them, and connections.

The database is SQLite under `REFIT_HOME`, or the PostgreSQL of `REFIT_DATABASE_URL`. Triggers reject updates and
deletes. On PostgreSQL, roles that append or read cannot change or delete rows either; only the owner of the tables can,
for the archive of `refit prune`.
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
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError

from refit.data.databases import URL_FORM, parse_url
from refit.errors import StateError
from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors
from refit_tasks.ledger.restore_marker import require_complete_restore
from refit_tasks.retries import LOCK_SECONDS, retry_locked_file

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
"""The champion generations of each project; the newest one serves. `ledger_id` is the promotion or rollback."""

_WAIT_SECONDS = str(LOCK_SECONDS)
"""The seconds that an SQLite connection waits for another connection's transaction."""

_BEGIN_READING = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}
_BEGIN_WRITING = {
    "sqlite": ["BEGIN IMMEDIATE"],
    # Writers exclude each other by the advisory lock. The first release locks the table instead, so the weak table lock
    # waits for it. READ COMMITTED makes later reads see what was committed before the locks were granted.
    "postgresql": [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SELECT pg_advisory_xact_lock(5273365)",
        "LOCK TABLE ledger IN ROW EXCLUSIVE MODE",
    ],
}
_BEGIN_CREATING = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(5273364)"}

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
"""The statements that create the triggers, by dialect."""

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
"""The SQL that creates the roles, for `psql`."""


@contextmanager
def reading() -> Iterator[Connection]:
    """Opens a read transaction on the ledger.

    Yields:
        The connection; all queries see the ledger as it was at the first one.

    Raises:
        StateError: If the database cannot be used; the message says why and names the fix.
    """
    with _open_engine() as engine, engine.connect() as connection:
        connection.exec_driver_sql(_BEGIN_READING[engine.dialect.name])
        yield connection


@contextmanager
def writing() -> Iterator[Connection]:
    """Opens an exclusive write transaction on the ledger; commits at the end, rolls back on an exception.

    Yields:
        The connection; no other writer's transaction overlaps with it.

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
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)  # errors must not quote entries
    except NoSuchModuleError as error:
        raise StateError(
            f"REFIT_DATABASE_URL has the unknown driver {url.drivername}: use sqlite or postgresql"
        ) from error
    except ImportError as error:
        raise StateError(f"the driver of REFIT_DATABASE_URL is not installed: install {error.name}") from error
    if engine.dialect.name not in _BEGIN_WRITING:
        raise StateError(f"REFIT_DATABASE_URL names {engine.dialect.name}, not supported: use sqlite or postgresql")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _decode_invalid_text)
    return engine


def _decode_invalid_text(connection: Connection, _record: object) -> None:
    """Makes SQLite return text that is not valid UTF-8, so that the damaged entry can be named."""
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")  # type: ignore[attr-defined]


def _create_tables(engine: Engine) -> None:
    """Creates both tables in one transaction, also if two processes do so at once or one of them is killed."""
    if inspect(engine).has_table(champions.name):
        return
    if engine.dialect.name == "sqlite":
        retry_locked_file(_is_locked)(_log_ahead, engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(_BEGIN_CREATING[engine.dialect.name])
        if inspect(connection).has_table(champions.name):
            return
        _metadata.create_all(connection)
        for statement in APPEND_ONLY[engine.dialect.name]:
            connection.exec_driver_sql(statement)


def _log_ahead(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _is_locked(error: BaseException) -> bool:
    """Tells whether SQLite has not waited: it changes the journal's mode at once or, beside a reader, not at all."""
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


@contextmanager
def allow_deletion(connection: Connection) -> Iterator[None]:
    """Allows deletes within a transaction, for the archive, which copies the entries that it deletes.

    Args:
        connection: A connection from `writing`.

    Yields:
        Nothing; the triggers are back before the transaction is committed.
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


@contextmanager
def translate_permission_errors(place: str) -> Iterator[None]:
    """Turns PostgreSQL's permission errors into a `StateError`.

    Args:
        place: The database's URL without its password.

    Yields:
        Nothing.

    Raises:
        StateError: If PostgreSQL denies a statement to the role of the URL.
    """
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _PERMISSION_DENIED:
            raise
        raise StateError(
            f"the role in REFIT_DATABASE_URL lacks a permission in {place} ({str(error.orig).splitlines()[0]}): use a "
            f"writer to append, or the owner to create tables or archive; `refit ledger roles` shows the roles"
        ) from error
