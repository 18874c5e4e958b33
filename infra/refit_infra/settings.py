"""Refit's settings, and the environment variables for the libraries around it.

Every store has an embedded default under `REFIT_HOME`, which one setting replaces by a real service.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from refit_infra.secrets import read_secret_files, split_credentials

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
"""Switches off the telemetry of all dependencies."""


_UNSAFE_IN_MARKDOWN = re.compile(r"[\s<>\"'()\\\\`|]")
"""Characters that end a URL in markdown."""


_QUERY_MARK = "?"
"""The character at which the path in a database's URL ends."""


class Settings(BaseSettings):
    """All settings of Refit, read from the environment."""

    model_config = SettingsConfigDict(
        env_prefix="REFIT_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # a URL may hold a password
    )

    home: Path = Path(".refit")
    """`REFIT_HOME`: the only directory that Refit writes to. Deleting it resets everything."""
    projects: Path = Path("projects")
    """`REFIT_PROJECTS`: the directory of the project files."""
    environment: Literal["dev", "staging", "production"] = "production"
    """`REFIT_ENVIRONMENT`: a project's gate can promote by other rules in each environment. The default is the
    strictest."""
    store_uri: str = ""
    """`REFIT_STORE_URI`: the root of the Delta tables; by default a directory under `home`."""
    database_url: str = ""
    """`REFIT_DATABASE_URL`: the ledger's database; by default SQLite under `home`."""
    tracking_uri: str = Field("", validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "tracking_uri"))
    """`MLFLOW_TRACKING_URI`: the MLflow server; by default SQLite under `home`."""
    mlflow_url: str = ""
    """`REFIT_MLFLOW_URL`: the URL of MLflow's UI, for links; by default the MLflow server, if one is set."""
    keep_versions: int = Field(100, ge=0)
    """`REFIT_KEEP_VERSIONS`: how many of a project's newest versions `refit prune` keeps, and how many generations back
    a rollback may go. The default is two years of weekly retrains; models are small."""
    ledger_days: float | None = Field(None, gt=0)
    """`REFIT_LEDGER_DAYS`: `refit prune` moves older ledger entries, unless something kept needs them, to a file under
    `home/archive`; by default all entries stay."""
    keep_hours: float = Field(7 * 24.0, ge=0)
    """`REFIT_KEEP_HOURS`: how long `refit prune` keeps a table file that no kept version needs, for readers that still
    have an old version of the table open. A week by default, as in Delta tables."""
    keep_predictions_days: float | None = Field(None, gt=0)
    """`REFIT_KEEP_PREDICTIONS_DAYS`: `refit prune` deletes older predictions; by default all stay."""
    log_format: Literal["text", "json"] = "text"
    """`REFIT_LOG_FORMAT`: whether flows, commands and servers log text, or one JSON object a line."""
    serving_form: Literal["measured", "scikit-learn"] = "measured"
    """`REFIT_SERVING_FORM`: `measured` serves a model by ONNX if that was measured to give the same predictions faster;
    `scikit-learn` never does, and a retrain makes no ONNX form."""

    @field_validator("home", "projects")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("home")
    @classmethod
    def _require_plain_path(cls, path: Path) -> Path:
        if _QUERY_MARK in str(path):
            raise ValueError(
                f"REFIT_HOME is {str(path)!r}, but a database's address ends its path at {_QUERY_MARK!r}: choose a "
                "directory without it"
            )
        return path

    @field_validator("mlflow_url")
    @classmethod
    def _require_web_url(cls, url: str) -> str:
        if url and not public_url(url):
            raise ValueError(
                "REFIT_MLFLOW_URL is not a web address: set it to a URL that begins with http:// or https://"
            )
        return url

    @property
    def tables(self) -> str:
        """The root of the Delta tables: a directory or an object store's URI."""
        return self.store_uri.rstrip("/") or str(self.home / "tables")

    @property
    def ledger(self) -> str:
        """The SQLAlchemy URL of the ledger's database."""
        return self.database_url or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def mlflow_database(self) -> Path | None:
        """The embedded MLflow database, or `None` where a server is set."""
        return None if self.tracking_uri else self.home / "mlflow.db"

    @property
    def mlflow(self) -> str:
        """The MLflow tracking URI, absolute."""
        return self.tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def mlflow_pages(self) -> str:
        """The URL of MLflow's UI, without a slash at the end; empty if it is not known."""
        return public_url(self.mlflow_url or self.tracking_uri)

    @property
    def mlflow_artifacts(self) -> str:
        """Where the embedded MLflow keeps artifacts, as a URI."""
        return (self.home / "mlartifacts").as_uri()

    @property
    def staging(self) -> Path:
        """Local scratch space for rows that are being ingested; safe to delete while nothing runs."""
        return self.home / "staging"


def public_url(url: str) -> str:
    """Reduces a URL to what may be shown.

    Args:
        url: Any URL.

    Returns:
        The URL without user, password, query and the slash at its end; empty unless its scheme is `http` or `https`.

    Example:
        >>> public_url("https://ada:secret@ml.example.org/mlflow/")
        'https://ml.example.org/mlflow'
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port  # raises for a port that is not a number
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or _UNSAFE_IN_MARKDOWN.search(parts.netloc + parts.path):
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def library_environment(settings: Settings) -> dict[str, str]:
    """Gives the environment variables for the libraries around Refit.

    Args:
        settings: The settings.

    Returns:
        From variable to value. Nothing is set.
    """
    console = {"FORMATTER": "json", "LEVEL": "INFO"} if settings.log_format == "json" else {}
    return {
        **QUIET,
        **{f"PREFECT_LOGGING_HANDLERS_CONSOLE_{item}": value for item, value in console.items()},
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("logging.yml")),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # A check or a replay logs outside a run, and has no run to send its logs to.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # MLflow also raises what it logs as an error; its traceback beside our message would be noise.
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Matplotlib's font list, which is otherwise written to the user's home directory.
        "MPLCONFIGDIR": str(settings.home / "matplotlib"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        # The first start creates the server's database, which on a busy laptop takes longer than the default 20 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


def apply_environment(settings: Settings) -> None:
    """Creates `REFIT_HOME` and sets the environment variables of this process. Call it before importing Prefect.

    Variables that the user has set stay as they are; secrets are read from their files.

    Args:
        settings: The settings.

    Raises:
        OSError: If `REFIT_HOME` cannot be created.
        ValueError: If the file of a secret cannot be read.
    """
    # Prefect does not create the parent of its directory; mode 700 keeps other users out.
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in {**library_environment(settings), **read_secret_files(os.environ)}.items():
        os.environ.setdefault(name, value)
    split_credentials(os.environ)
