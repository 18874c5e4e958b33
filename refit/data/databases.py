"""Engines for the databases that projects load from; their passwords stand in no file and in no error."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from refit.errors import LoadFailed

if TYPE_CHECKING:
    import sqlalchemy

URL_FORM = "dialect+driver://NAME:PASSWORD@HOST/DATABASE, with %40 for @ in a password"


def require_no_password(url: str) -> None:
    """Makes sure that a project file holds no password: the file is kept with each model, for others to read.

    Args:
        url: As the file gives it.

    Raises:
        LoadFailed: If there is one in it, or it is not an URL.
    """
    if url.startswith("env:") or not ("@" in url or "pass" in url.lower()):  # most need no import that takes its time
        return
    given = _require_url(url)
    if given.password is not None or any("pass" in name.lower() for name in given.query):
        raise LoadFailed(
            "the database's URL holds a password, and this file is kept with each model for others to read: put the "
            'URL into an environment variable, and write "env:NAME" here'
        )


def open_engine(url: str) -> sqlalchemy.Engine:
    """Makes an engine that keeps no connection open.

    Args:
        url: An URL of SQLAlchemy, or `env:NAME` for one that stands in an environment variable.

    Returns:
        The engine.

    Raises:
        LoadFailed: If the variable is not set, or the URL is not one, which is not shown.
    """
    import sqlalchemy

    given = _require_url(_read_environment(url.removeprefix("env:")) if url.startswith("env:") else url)
    try:
        return sqlalchemy.create_engine(given, poolclass=sqlalchemy.NullPool)
    except sqlalchemy.exc.ArgumentError as error:
        raise LoadFailed(f"SQLAlchemy knows no such database ({error}): write {URL_FORM}") from error
    except ImportError as error:
        raise LoadFailed(f"the database's driver is not installed ({error}): install it beside Refit") from error


def parse_url(text: str) -> sqlalchemy.URL | None:
    """Reads an URL, and leaves nothing in an exception if it is none: a password with an `@` in it is a common slip.

    Args:
        text: What somebody has set.

    Returns:
        The URL; `None` if it is none, or its password seems to go on in its host.
    """
    import sqlalchemy

    url = None
    with suppress(sqlalchemy.exc.ArgumentError, ValueError):
        url = sqlalchemy.make_url(text)
    return None if url is None or "@" in (url.host or "") else url


def _read_environment(variable: str) -> str:
    if given := os.environ.get(variable):
        return given
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        raise LoadFailed(f"the environment variable {variable} is not set: put the database's URL there")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LoadFailed(f"{variable}_FILE names {file}, which cannot be read ({error.strerror})") from error


def _require_url(url: str) -> sqlalchemy.URL:
    if parsed := parse_url(url):
        return parsed
    raise LoadFailed(f"the database's URL is not one that SQLAlchemy knows: write {URL_FORM}")
