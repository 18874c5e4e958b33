"""A year of requests and labels through HTTP: a server of real rows, and the monitor that keeps its champion right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd

from refit.results.flows import MonitorOutcome
from refit_flows.monitor import monitor

NAME, KEY, TARGET = "bike_requests", "observed_at", "rentals"
OPENING = datetime(2012, 1, 1, tzinfo=UTC)
"""When the server opens; what was before is the history."""
PATIENCE_SECONDS = 60


@dataclass(slots=True)
class Replayed:
    """What came of it."""

    requests: int = 0
    versions: list[int] = field(default_factory=list)
    """Who has answered each request."""
    looks: list[MonitorOutcome] = field(default_factory=list)
    errors: list[tuple[datetime, float]] = field(default_factory=list)
    """The mean absolute error of what was answered, up to each look since the one before."""


def real_rows(directory: Path) -> pd.DataFrame:
    """Reads the real table, with its labels."""
    rows = pd.read_parquet(directory / "bike_sharing.parquet")
    return rows.assign(**{KEY: pd.to_datetime(rows[KEY], utc=True)})


def replay(address: str, rows: pd.DataFrame, start: datetime, end: datetime, every: timedelta) -> Replayed:
    """Sends each day's rows and then their labels, and has the monitor look from time to time.

    Args:
        address: The server's.
        rows: The rows with their labels.
        start: The first event time.
        end: Just after the last one.
        every: From one look to the next.

    Returns:
        What was answered and decided.
    """
    done = Replayed()
    with httpx.Client(base_url=f"{address}/v1/models/{NAME}", timeout=60) as client:
        for since, until in _spans(start, end, every):
            part = rows[(rows[KEY] >= since) & (rows[KEY] < until)]
            errors = [_day(client, day, done) for _, day in part.groupby(part[KEY].dt.date)]
            done.errors.append((until, float(pd.concat(errors).mean())))
            _logged(address)
            done.looks.append(monitor(NAME, as_of=until))
            _follow(address, done.looks[-1])
    return done


def _spans(start: datetime, end: datetime, every: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + every, end)
        start += every


def _day(client: httpx.Client, day: pd.DataFrame, done: Replayed) -> pd.Series:
    features = day.drop(columns=[TARGET])
    body = {"rows": json.loads(features.to_json(orient="records", date_format="iso"))}
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    labels = [{"key": at.isoformat(), "label": int(label)} for at, label in zip(day[KEY], day[TARGET], strict=True)]
    kept = client.post("/labels", json={"labels": labels})
    assert kept.status_code == 202, kept.text
    done.requests += 1
    done.versions.append(answer.json()["version"])
    return (day[TARGET] - answer.json()["predictions"]).abs()


def _logged(address: str) -> None:
    """Waits until all that was answered is in the predictions table."""
    until = time.monotonic() + PATIENCE_SECONDS
    while "refit_serving_log_waiting_rows 0.0" not in httpx.get(f"{address}/metrics", timeout=60).text:
        if time.monotonic() > until:
            raise TimeoutError(f"the predictions are not written after {PATIENCE_SECONDS} s")
        time.sleep(0.1)


def _follow(address: str, look: MonitorOutcome) -> None:
    """Waits until the server answers with whom the monitor has left in the seat."""
    promoted = look.retrain.promotion if look.retrain else look.rolled_back
    if promoted is None:
        return
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if httpx.get(f"{address}/readyz", timeout=60).json()["projects"][NAME]["version"] == promoted.version:
            return
        time.sleep(0.2)
    raise TimeoutError(f"version {promoted.version} does not answer after {PATIENCE_SECONDS} s")
