"""Where the services of the stack keep their files and listen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refit_deployments.local.processes import HOST, insist_free

DOORS = ("s3", "master", "filer", "volume")
"""What the object store listens for, each at a port of its own and, for its own parts, at another."""
TABLES, MODELS = "refit-tables", "refit-models"
"""The buckets."""


@dataclass(frozen=True, slots=True)
class Places:
    """Its directory and its ports, all of them of the loopback interface."""

    home: Path
    """REFIT_HOME of all that runs on the stack; the services' own files lie in it, too."""
    prefect: int
    mlflow: int
    objects: int
    """The S3 door of the object store; its other parts take the seven ports that follow."""
    database: int

    @property
    def secrets(self) -> Path:
        """The directory of passwords and of files that hold some."""
        return self.home / "secrets"

    def door(self, name: str, *, inner: bool = False) -> int:
        """Gives a port of the object store.

        Args:
            name: One of `DOORS`.
            inner: The one by which its parts speak with one another.

        Returns:
            The port.
        """
        return self.objects + DOORS.index(name) + (len(DOORS) if inner else 0)

    def insist_free(self) -> None:
        """Makes sure that nothing else listens where PostgreSQL, the object store and MLflow will.

        Raises:
            StateError: If something does.
        """
        insist_free(HOST, self.database, "--database-port")
        insist_free(HOST, self.mlflow, "--mlflow-port")
        for port in range(self.objects, self.objects + 2 * len(DOORS)):
            insist_free(HOST, port, "--objects-port")
