"""MLflow's password, taken out of its address, which MLflow writes into errors, and others into notes."""

from __future__ import annotations

from collections.abc import MutableMapping
from urllib.parse import SplitResult, unquote, urlsplit

ADDRESS, NAME, PASSWORD = "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def take_apart(environment: MutableMapping[str, str]) -> None:
    """Moves name and password from the address into the variables that MLflow has for them, unless those are set.

    Args:
        environment: The environment variables.

    Raises:
        ValueError: If the address is none; it is not shown.

    Example:
        >>> variables = {"MLFLOW_TRACKING_URI": "https://ada:a%40b@ml.example.org/x"}
        >>> take_apart(variables)
        >>> variables["MLFLOW_TRACKING_URI"], variables["MLFLOW_TRACKING_PASSWORD"]
        ('https://ml.example.org/x', 'a@b')
    """
    parts = _split(environment.get(ADDRESS, ""))
    if parts is None:
        raise ValueError(f"{ADDRESS} is no address: write http://HOST:PORT")
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return
    given, _, place = parts.netloc.rpartition("@")
    name, _, password = given.partition(":")
    environment.setdefault(NAME, unquote(name))
    environment.setdefault(PASSWORD, unquote(password))
    environment[ADDRESS] = SplitResult(parts.scheme, place, *parts[2:]).geturl()


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:  # its text may hold the password
        return None
