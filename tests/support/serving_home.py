"""A depot whose champions serve: real versions in MLflow and the ledger, made without a flow, and a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest

from refit import Project, Window
from refit.gate.evaluations import Comparison, Evaluation, Judgement
from refit.inference.onnx_choice import ServingForm
from refit.records.references import Challenger, Champion, Ingestion, ModelRef, SnapshotRef
from refit.records.verdicts import Reason, Verdict
from refit_infra.settings import QUIET
from tests.support.watched_project import COMMAND, rows_of

AT = datetime(2026, 3, 1, tzinfo=UTC)
FEATURES = ["weight", "distance", "carrier"]
PROJECT = textwrap.dedent('''
    """Parcels of a depot."""

    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from refit import Project


    def build():
        encoder = OneHotEncoder(handle_unknown="ignore")
        columns = make_column_transformer((encoder, ["carrier"]), remainder="passthrough")
        return make_pipeline(columns, LogisticRegression(max_iter=500))


    project = Project(
        name="NAME", kind="classification", target="late", timestamp="sent_at", key=("parcel",),
        load=lambda window: pd.DataFrame(), build=build,
    )
''')


def parcels() -> pd.DataFrame:
    """The rows of a table."""
    rows = rows_of(3)
    return rows.assign(carrier=pd.array(["swift", "sure"] * (len(rows) // 2), dtype="str"))


@contextmanager
def entered(directory: Path) -> Iterator[Path]:
    """Sets a home and a directory of projects below that directory, as long as the block lasts."""
    settings = {**QUIET, "REFIT_HOME": str(directory / "home"), "REFIT_PROJECTS": str(directory / "projects")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        (directory / "home").mkdir(mode=0o700, exist_ok=True)
        yield directory


class Depot:
    """Projects with a table each; versions are made and promoted as they are needed."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory, self.home, self.projects = directory, directory / "home", directory / "projects"
        self.projects.mkdir()
        self.rows = parcels()
        for name in names:
            (self.projects / f"{name}.py").write_text(PROJECT.replace("NAME", name))
            self._store(name)

    def fitted(self, name: str, shift: float, *, with_form: bool = False) -> Challenger:
        """Registers a version of the project that is fit to serve; another shift says something else of each row."""
        from refit_tasks.catalog import find_project
        from refit_tasks.ledger.generations import current_champion
        from refit_tasks.model_files.model_hash import hash_model_files
        from refit_tasks.registry.mlflow_client import open_mlflow, require_experiment
        from refit_tasks.registry.model_signature import fetch_files
        from refit_tasks.registry.model_store import log_model
        from refit_tasks.registry.register import register
        from refit_tasks.registry.tracking import open_run

        definition, client, key = find_project(name), open_mlflow(), f"{name}-{shift}"
        features = self.rows[FEATURES]
        model = definition.build().fit(features, (self.rows["distance"] > 100 + shift).astype(int))
        with open_run(client, require_experiment(client, name), key, {}) as run:
            uri = log_model(run, definition, model, features.head())
        window = Window(AT - timedelta(days=400), AT)
        rows = SnapshotRef(name, 0, window, len(self.rows), "f" * 32, labelled=True)
        scores = Evaluation(0.9, (0.9,) * 6)
        comparison = Comparison("roc_auc", rows, scores, Evaluation(0.5, (0.5,) * 6), None)
        verdict = Verdict((Reason("floor", passed=True, value=0.9, limit=0.5, sentence="good enough"),))
        ingestion = Ingestion(name, window, 0, 900, 900, 0, 900, 0)
        judged = ModelRef(name, run.id, uri, rows, key)
        with fetch_files(judged) as directory:
            judged = replace(judged, sha256=hash_model_files(directory))
        judgement = Judgement(judged, comparison, definition.gate, verdict, current_champion(name), ingestion)
        if with_form:
            judgement = replace(judgement, form=self._form(definition, judged))
        return register.fn(definition, judgement, AT)

    def promoted(self, name: str, shift: float, *, with_form: bool = False) -> Champion:
        """Makes a new version champion."""
        return promote(self.fitted(name, shift, with_form=with_form))

    def _form(self, definition: Project, model: ModelRef) -> ServingForm:
        from refit_tasks.evaluation.serving_runtime import make_form
        from refit_tasks.registry.model_signature import fetch_files

        with fetch_files(model) as directory:
            return make_form(definition, model, directory, self.rows)

    def _store(self, name: str) -> None:
        from refit_tasks.storage.delta import write

        table = pa.Table.from_pandas(self.rows, preserve_index=False)
        types = {"sent_at": pa.timestamp("us", "UTC"), "carrier": pa.string()}
        schema = pa.schema([(field.name, types.get(field.name, field.type)) for field in table.schema])
        write(name, None, [table.cast(schema)], schema)


def promote(challenger: Challenger) -> Champion:
    from refit_tasks.ledger.generations import current_champion
    from refit_tasks.promotion.promote import promote as make_champion

    return make_champion.fn(challenger, current_champion(challenger.model.project), datetime.now(UTC))


def roll_back(name: str) -> Champion:
    from refit_tasks.promotion.rollback import roll_back as return_to

    return return_to(name, "a test", "a test", datetime.now(UTC))


class Server:
    """A process of `refit serve`."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def ask(self, name: str, body: Any, **headers: str) -> httpx.Response:
        """Posts a body to a project: JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        return httpx.post(f"{self.address}/v1/models/{name}/predict", content=content, headers=sent, timeout=60)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address + path, timeout=60)

    def metric(self, line: str) -> float:
        """Reads a sample of the metrics page; 0 where it is not there."""
        found = [one for one in self.get("/metrics").text.splitlines() if one.startswith(f"refit_serving_{line} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=90)
        return self.process.returncode


@contextmanager
def serving(projects: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Starts the command on a free port, and waits until it answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", *arguments, "--port", "0", "--json"],
        env={**os.environ, "REFIT_PROJECTS": str(projects), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Server(process, json.loads(process.stdout.readline())["address"])
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def arrow(table: pa.Table, **options: Any) -> bytes:
    """Writes a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def logged(name: str) -> pd.DataFrame:
    """Reads the predictions table of a project."""
    from refit_tasks.storage.delta import open_table, read
    from refit_tasks.storage.predictions_table import predictions_of

    table = open_table(predictions_of(name))
    assert table is not None
    return pd.concat([part.to_pandas() for part in read(table)], ignore_index=True)
