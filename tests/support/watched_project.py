"""A depot whose champion is watched: a project file, the table that it loads from, and whom to ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refit.results.flows import MonitorOutcome, RetrainOutcome
from tests.support import forked_commands as commands

START = datetime(2026, 1, 1, tzinfo=UTC)
A_DAY = 300
"""Parcels a day."""
COMMAND = "from refit_deployments.main import main; main()"
PROJECT = textwrap.dedent('''
    """Parcels of a depot."""

    import time
    from datetime import timedelta
    from pathlib import Path

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from refit import BudgetPolicy, DeploymentPolicy, GatePolicy, MonitoringPolicy, NotificationPolicy
    from refit import Project, Schedule, TrainingPolicy
    from refit.sources import parquet


    def build():
        while Path("STALL").exists():
            Path("STALLED").touch()
            time.sleep(0.2)
        return make_pipeline(StandardScaler(), LogisticRegression())


    project = Project(
        name="parcels", kind="classification", target="late", timestamp="sent_at", key=("parcel",),
        load=parquet("FILE", timestamp="sent_at"), build=build, label_delay=timedelta(days=1),
        monitoring=MonitoringPolicy(window=timedelta(days=5), POLICY),
    )
''')


def rows_of(days: int, turned: int | None = None, until: int = 10_000) -> pd.DataFrame:
    """Makes parcels; from the day `turned` on and up to `until` the near ones are late in place of the far ones."""
    rng, rows = np.random.default_rng(0), days * A_DAY
    day = np.arange(rows) // A_DAY
    weight, distance = rng.gamma(2, 2, rows), rng.uniform(1, 500, rows)
    other = (day >= turned) & (day < until) if turned is not None else np.zeros(rows, bool)
    far = np.where(other, 500 - distance, distance)
    return pd.DataFrame(
        {
            "parcel": np.arange(rows),
            "sent_at": pd.Timestamp(START) + pd.to_timedelta(np.arange(rows) * 24 * 60 // A_DAY, unit="min"),
            "weight": weight,
            "distance": distance,
            "late": pd.array((far / 250 + 0.2 * weight + rng.normal(0, 0.5, rows) > 1.8).astype(int), dtype="Int64"),
        }
    )


class Depot:
    """The project and its table in a directory."""

    def __init__(self, directory: Path, policy: str = "") -> None:
        self.file = directory / "parcels.parquet"
        self.stall, self.stalled = directory / "stall", directory / "stalled"
        self.projects = directory / "projects"
        self.projects.mkdir()
        self.set_policy(policy)
        self.deliver(rows_of(80))

    def set_policy(self, policy: str) -> None:
        """Writes the project file; while the file `stall` exists, its training does not end."""
        text = PROJECT.replace("FILE", str(self.file)).replace("STALLED", str(self.stalled))
        (self.projects / "parcels.py").write_text(text.replace("STALL", str(self.stall)).replace("POLICY", policy))

    @contextmanager
    def stalled_training(self) -> Iterator[None]:
        """Keeps trainings from ending as long as the block lasts."""
        self.stalled.unlink(missing_ok=True)
        self.stall.touch()
        try:
            yield
        finally:
            self.stall.unlink()

    def deliver(self, rows: pd.DataFrame) -> None:
        rows.to_parquet(self.file)

    def monitor(self, day: float, event: str | None = None) -> MonitorOutcome:
        from refit_flows.monitor import monitor

        return monitor("parcels", as_of=START + timedelta(days=day), event=event)

    def retrain(self, day: float, *, force: bool = False) -> RetrainOutcome:
        from refit_flows.retrain import retrain

        return retrain("parcels", as_of=START + timedelta(days=day), reason="test", force=force)


def refit(*arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Runs a command on the session's Prefect server; gives its end and its answer as JSON."""
    run = commands.refit(*arguments, "--json", **{**on_the_server(), **environment})
    return run, json.loads(run.stdout or "{}")


def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts Python on the session's Prefect server."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **on_the_server(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_the_server() -> dict[str, str]:
    """What a process needs to find the session's Prefect server."""
    from prefect.settings import PREFECT_API_URL

    return {"PREFECT_API_URL": PREFECT_API_URL.value() or ""}


def recorded(kind: str) -> list[dict[str, Any]]:
    """Reads what the ledger holds of a kind, oldest first."""
    from refit_tasks.ledger.record import entries

    return [{"id": one.id, **one.payload} for one in reversed(entries("parcels", newest=500)) if one.kind == kind]


def actions() -> list[str]:
    """The decisions on record, oldest first."""
    return [one["decision"]["action"] for one in recorded("decision")]
