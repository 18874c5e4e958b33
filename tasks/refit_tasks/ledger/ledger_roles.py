"""Who may do what to a ledger on PostgreSQL: roles that append or read, and can change or remove nothing.

The tables belong to whoever made them. That role alone can take entries away, as the archive of `refit prune` does, and
runs nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from refit.errors import StateError

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
def naming_the_role(place: str) -> Iterator[None]:
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
