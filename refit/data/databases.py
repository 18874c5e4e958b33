"""Engines for the databases that projects load from; passwords appear in no file and no error message."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from refit.errors import LoadFailed

if TYPE_CHECKING:
    import sqlalchemy

URL_FORM = "dialect+driver://NAME:PASSWORD@HOST/DATABASE, with %40 for @ in a password"
"""The form of a database URL, for messages."""


def require_no_password(url: str) -> None:
    """Rejects a URL that contains a password: the project file is stored with each model, readable by others.

    Args:
        url: The URL in the project file.

    Raises:
        LoadFailed: If it contains a password, or is not a URL.
    """
    if url.startswith("env:") or not ("@" in url or "pass" in url.lower()):  # avoids a slow import for most URLs
        return
    parsed = _require_url(url)
    if parsed.password is not None or any("pass" in name.lower() for name in parsed.query):
        raise LoadFailed(
            "the database URL contains a password, and this file is stored with each model, readable by others: put "
            'the URL into an environment variable and write "env:NAME" here'
        )


def open_engine(url: str) -> sqlalchemy.Engine:
    """Creates an engine that keeps no connection open.

    Args:
        url: A SQLAlchemy URL, or `env:NAME` to read it from an environment variable.

    Returns:
        The engine.

    Raises:
        LoadFailed: If the variable is not set, or the URL, which the message does not show, is invalid.
    """
    import sqlalchemy

    parsed = _require_url(_read_environment(url.removeprefix("env:")) if url.startswith("env:") else url)
    try:
        return sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.NullPool)
    except sqlalchemy.exc.ArgumentError as error:
        raise LoadFailed(f"SQLAlchemy does not support this database ({error}): write {URL_FORM}") from error
    except ImportError as error:
        raise LoadFailed(f"the database driver is not installed ({error}): install it next to Refit") from error


def parse_url(text: str) -> sqlalchemy.URL | None:
    """Parses a database URL; an invalid one, which may contain a password, is not shown in an exception.

    Args:
        text: The configured URL.

    Returns:
        The URL; `None` if it is invalid, or its password seems to extend into its host.
    """
    import sqlalchemy

    url = None
    with suppress(sqlalchemy.exc.ArgumentError, ValueError):
        url = sqlalchemy.make_url(text)
    return None if url is None or "@" in (url.host or "") else url


def _read_environment(variable: str) -> str:
    if url := os.environ.get(variable):
        return url
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        raise LoadFailed(f"the environment variable {variable} is not set: set it to the database URL")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LoadFailed(
            f"{variable}_FILE is {file}, which cannot be read ({error.strerror}): correct the path or its permissions"
        ) from error


def _require_url(url: str) -> sqlalchemy.URL:
    if parsed := parse_url(url):
        return parsed
    raise LoadFailed(f"the database URL is not valid for SQLAlchemy: write {URL_FORM}")
