"""A project whose champion doubles and whose challenger triples, and what scores its rows with both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from refit import MonitoringPolicy, Project, Window
from refit.records.references import Challenger, Champion, ModelRef, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from refit.results.score import ScoreRequest
from refit_tasks.prediction.score import score_rows
from refit_tasks.registry.model_store import save_model

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 10_000
AT = datetime(2026, 3, 1, tzinfo=UTC)


def rows_of(count: int = ROWS) -> pd.DataFrame:
    ids = np.arange(count)
    return pd.DataFrame({"id": ids, "at": START + pd.to_timedelta(ids, unit="s"), "x": ids * 0.5, "y": 1.0})


def load(window: Window):
    for part in range(10):
        frame = rows_of().iloc[part * 1000 : part * 1000 + 1000].copy()
        frame.loc[frame["id"] % 100 == 7, "x"] = np.inf
        yield frame[window.holds(frame["at"])]


def definition(key: tuple[str, ...] = ("id",), **more) -> Project:
    return Project(
        name="parcels",
        kind="regression",
        target="y",
        timestamp="at",
        key=key,
        features=("x",),
        load=load,
        build=LinearRegression,
        expectations=list,
        ingestion={"piece_rows": 1000},
        monitoring=MonitoringPolicy(drift=None),
        **more,
    )


def loading(rows: pd.DataFrame, project: Project | None = None) -> Project:
    return (project or definition()).model_copy(update={"load": lambda _window: rows})


def serving(home: Path) -> tuple[Champion, Challenger]:
    """A champion that doubles, and a challenger that triples; both are stored."""
    trained = SnapshotRef("parcels", 0, Window(START, START + timedelta(seconds=100)), 100, "f" * 32, labelled=True)
    refs = []
    for factor in (2, 3):
        rows = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
        directory = home / f"model-{factor}"
        if not directory.exists():
            save_model(LinearRegression().fit(rows, rows["x"] * factor), directory)
        refs.append(ModelRef("parcels", f"run {factor}", str(directory), trained, f"key {factor}"))
    verdict = Verdict((Reason("floor", passed=True, value=1.0, limit=0.0, sentence="it is good enough"),))
    return Champion(refs[0], 1, 1, START), Challenger(refs[1], 2, verdict, 7)


def sought(seconds: float = ROWS, start: float = 0) -> ScoreRequest:
    window = Window(START + timedelta(seconds=start), START + timedelta(seconds=seconds))
    return ScoreRequest("load", "", window, window.end)


def score(home: Path, what: ScoreRequest, project: Project | None = None, *, shadow: bool = True):
    champion, challenger = serving(home)
    return score_rows.fn(project or definition(), what, champion, challenger if shadow else None, AT, "run")
