"""The directories and ports of the stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refit_deployments.local.processes import HOST, require_free_port

ENDPOINTS = ("s3", "master", "filer", "volume")
"""The endpoints of the object store, each with a port for clients and one for internal calls."""
TABLES, MODELS = "refit-tables", "refit-models"
"""The buckets of the object store."""


@dataclass(frozen=True, slots=True)
class Places:
    """The directory and the ports of the stack, all on loopback."""

    home: Path
    """The REFIT_HOME of the stack, which also holds the services' files."""
    prefect: int
    mlflow: int
    objects: int
    """The S3 port of the object store; the next seven ports are used, too."""
    database: int

    @property
    def secrets(self) -> Path:
        """The directory of passwords and of files that contain some."""
        return self.home / "secrets"

    def endpoint_port(self, name: str, *, inner: bool = False) -> int:
        """Gives a port of the object store.

        Args:
            name: One of `ENDPOINTS`.
            inner: Whether to give the port for internal calls.

        Returns:
            The port.
        """
        return self.objects + ENDPOINTS.index(name) + (len(ENDPOINTS) if inner else 0)

    def require_free_ports(self) -> None:
        """Requires that the ports of PostgreSQL, the object store and MLflow are free.

        Raises:
            StateError: If one is in use.
        """
        require_free_port(HOST, self.database, "--database-port")
        require_free_port(HOST, self.mlflow, "--mlflow-port")
        for port in range(self.objects, self.objects + 2 * len(ENDPOINTS)):
            require_free_port(HOST, port, "--objects-port")
