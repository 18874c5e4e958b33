"""Where Refit keeps its state, and the environment that the libraries around it get.

Everything has an embedded default under `REFIT_HOME`; a real service takes its place by one setting.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from refit_infra.secrets import from_files, split_credentials

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
"""Switches off the telemetry of every dependency that has one."""


_UNFIT = re.compile(r"[\s<>\"'()\\\\`|]")
"""What would end an address in markdown."""


class Settings(BaseSettings):
    """All settings of Refit, read from the environment."""

    model_config = SettingsConfigDict(
        env_prefix="REFIT_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # an address may hold a password
    )

    home: Path = Path(".refit")
    """`REFIT_HOME`: the only directory Refit writes to. Deleting it resets everything."""
    projects: Path = Path("projects")
    """`REFIT_PROJECTS`: the directory of the project files."""
    environment: Literal["dev", "staging", "production"] = "production"
    """`REFIT_ENVIRONMENT`: what a project's gate may have other rules of promotion for. Whoever says nothing gets the
    strictest."""
    store_uri: str = ""
    """`REFIT_STORE_URI`: where the Delta tables lie; by default under `home`."""
    database_url: str = ""
    """`REFIT_DATABASE_URL`: the ledger's database; by default SQLite under `home`."""
    tracking_uri: str = Field("", validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "tracking_uri"))
    """`MLFLOW_TRACKING_URI`: the MLflow server; by default SQLite under `home`."""
    mlflow_url: str = ""
    """`REFIT_MLFLOW_URL`: where people see MLflow's pages, for links; by default the MLflow server, if there is one."""
    keep_versions: int = Field(100, ge=0)
    """`REFIT_KEEP_VERSIONS`: how many of the newest versions of a project `refit prune` keeps, and how many generations
    back a rollback may go. Two years of weekly retrains by default: nobody returns further, and a model is small."""
    ledger_days: float | None = Field(None, gt=0)
    """`REFIT_LEDGER_DAYS`: entries of the ledger that are older, and that nothing kept needs, go to a file under
    `home/archive` when `refit prune` runs; by default all stay."""
    keep_hours: float = Field(7 * 24.0, ge=0)
    """`REFIT_KEEP_HOURS`: how long `refit prune` leaves a file of a table that only versions name which nothing kept
    needs. A week by default, as Delta tables have it: whoever has opened one of those may go on reading."""

    keep_predictions_days: float | None = Field(None, gt=0)
    """`REFIT_KEEP_PREDICTIONS_DAYS`: older predictions go when `refit prune` runs; by default all stay."""
    log_format: Literal["text", "json"] = "text"
    """`REFIT_LOG_FORMAT`: whether flows, commands and servers log for people, or one JSON object a line."""
    serving_form: Literal["measured", "scikit-learn"] = "measured"
    """`REFIT_SERVING_FORM`: whether `refit serve` answers by ONNX where that was measured to say the same and to be
    faster, or by scikit-learn alone, so that a retrain makes no ONNX form either."""

    @field_validator("home", "projects")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("mlflow_url")
    @classmethod
    def _a_page(cls, url: str) -> str:
        if url and not page_address(url):
            raise ValueError("REFIT_MLFLOW_URL is no address of a page: let it begin with http:// or https://")
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
        """Where people see MLflow's pages, without a slash at the end; empty where nobody knows."""
        return page_address(self.mlflow_url or self.tracking_uri)

    @property
    def mlflow_artifacts(self) -> str:
        """Where the embedded MLflow keeps artifacts, as a URI."""
        return (self.home / "mlartifacts").as_uri()

    @property
    def staging(self) -> Path:
        """Local scratch space for rows that are not yet accepted; safe to delete when nothing runs."""
        return self.home / "staging"


def page_address(url: str) -> str:
    """Makes an address fit to be shown to people.

    Args:
        url: Any address.

    Returns:
        The same without user, password, query and the slash at its end; empty unless it is one of `http` or `https`.

    Example:
        >>> page_address("https://ada:secret@ml.example.org/mlflow/")
        'https://ml.example.org/mlflow'
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port  # a port that is no number is found out here
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or _UNFIT.search(parts.netloc + parts.path):
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def environment(settings: Settings) -> dict[str, str]:
    """Gives the environment variables that the libraries around Refit should see.

    Args:
        settings: Where the state lies.

    Returns:
        From variable to value; none of them is set yet.
    """
    console = {"FORMATTER": "json", "LEVEL": "INFO"} if settings.log_format == "json" else {}
    return {
        **QUIET,
        **{f"PREFECT_LOGGING_HANDLERS_CONSOLE_{item}": value for item, value in console.items()},
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("logging.yml")),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # A check or a replay is no run, so that what it logs has no run to go to.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # What MLflow reports as an error it raises as well; its own traceback beside our sentence helps nobody.
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Its list of fonts; otherwise it lies in the home directory of whoever runs this.
        "MPLCONFIGDIR": str(settings.home / "matplotlib"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        # A first start makes the server's database: on a busy laptop that takes longer than the default 20 seconds.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


def settle(settings: Settings) -> None:
    """Makes `REFIT_HOME` and sets that environment for this process; to be called before Prefect is imported.

    What the user has set is left as it is; secrets that files hold are read.

    Args:
        settings: Where the state lies.

    Raises:
        OSError: If `REFIT_HOME` cannot be made.
        ValueError: If the file of a secret cannot be read.
    """
    # Prefect does not make the parent of its own directory; what lies there is nobody else's business.
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in {**environment(settings), **from_files(os.environ)}.items():
        os.environ.setdefault(name, value)
    split_credentials(os.environ)
