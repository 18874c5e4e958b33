"""`refit serve`, by ONNX and by scikit-learn, beside the bare predict call and `mlflow models serve` of one pipeline.

All servers run on loopback with one worker, and are asked over one connection, in turns, so that whatever else the
machine does meets all of them. `refit serve` gives the class and its probability and logs every row; `mlflow models
serve` gives the class. The largest requests are an Arrow stream for the one and JSON for the other.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.posting import Client
from tests.support.serving_home import FEATURES, Depot, serving

ROUNDS, WARM = 6, 20
REQUESTS = {1: 300, 100: 100, 10_000: 8}
"""From rows in a request to how many are sent in a round."""
PATIENCE_SECONDS = 300
JSON, STREAM = "application/json", "application/vnd.apache.arrow.stream"
PATH = "/v1/models/parcels/predict"
ONNX, SKLEARN, MLFLOW, BARE = "refit serve, ONNX", "refit serve, sklearn", "mlflow models serve", "bare predict"


def main() -> None:
    """Prints requests and rows a second, p5 (what a busy machine leaves alone), p50 and p99 of each, and the ratios."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ.update(REFIT_HOME=str(root / "home"), REFIT_PROJECTS=str(root / "projects"), OMP_NUM_THREADS="1")
        from refit_infra.settings import Settings, apply_environment

        apply_environment(Settings())
        depot = Depot(root, "parcels")
        champion = depot.promoted("parcels", 0.0, with_form=True)
        with (
            serving(depot.projects, "parcels") as onnx,
            serving(depot.projects, "parcels", REFIT_SERVING_FORM="scikit-learn") as sklearn,
            mlflow_server(champion.model.uri) as mlflow,
        ):
            places = (onnx.address.removeprefix("http://"), sklearn.address.removeprefix("http://"), mlflow)
            _measure(depot, champion, places)


def _measure(depot: Depot, champion: Any, places: tuple[str, str, str]) -> None:  # noqa: ANN401
    from refit_tasks.catalog import find_project
    from refit_tasks.registry.stored_model import fetch_model

    model, rows = fetch_model(find_project("parcels"), champion.model), depot.rows[FEATURES]
    for size, requests in REQUESTS.items():
        some = rows.sample(size, replace=True, random_state=0)
        body, media_type = _body(some)
        split = json.dumps({"dataframe_split": some.to_dict("split", index=False)}).encode()
        asks: dict[str, Callable[[], None]] = {
            BARE: lambda some=some: model.predict(some),
            ONNX: Client(places[0], PATH, body, media_type),
            SKLEARN: Client(places[1], PATH, body, media_type),
            MLFLOW: Client(places[2], "/invocations", split, JSON),
        }
        _print(size, timed(asks, ROUNDS, requests))


def _body(some: pd.DataFrame) -> tuple[bytes, str]:
    """JSON; of many rows an Arrow stream."""
    if len(some) < 1_000:
        return json.dumps({"rows": some.to_dict("records")}).encode(), JSON
    table, sink = pa.Table.from_pandas(some, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue()), STREAM


def _print(size: int, taken: dict[str, list[float]]) -> None:
    print(f"{size:,} row{'s' * (size > 1)} a request, one after the other")
    for name, seconds in taken.items():
        p5, p50, p99 = np.percentile(seconds, [5, 50, 99]) * 1_000
        per_second = 1 / np.mean(seconds)
        print(
            f"  {name:20} {per_second:6.0f} requests/s, {per_second * size:9,.0f} rows/s, "
            f"p5 {p5:.2f} ms, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        )
    for name in (ONNX, SKLEARN):
        mine, theirs, bare = (np.array(taken[which]) for which in (name, MLFLOW, BARE))
        print(
            f"  {name}: {theirs.mean() / mine.mean():.1f} times the requests/s of mlflow, "
            f"{', '.join(f'{np.percentile(theirs, p) / np.percentile(mine, p):.1f} at p{p}' for p in (5, 50, 99))}; "
            f"{np.median(mine) / np.median(bare):.2f} times the bare call"
        )


def timed(asks: dict[str, Callable[[], None]], rounds: int, requests: int) -> dict[str, list[float]]:
    """Asks all in turns.

    Args:
        asks: From name to what asks once.
        rounds: How many turns.
        requests: How often each is asked in a turn.

    Returns:
        The seconds of each request.
    """
    taken: dict[str, list[float]] = {name: [] for name in asks}
    warm = min(WARM, requests)
    for _ in range(rounds):
        for name, ask in asks.items():
            for number in range(warm + requests):
                start = time.perf_counter()
                ask()
                if number >= warm:
                    taken[name].append(time.perf_counter() - start)
    return taken


@contextmanager
def mlflow_server(uri: str) -> Iterator[str]:
    """Starts `mlflow models serve` of a model.

    Args:
        uri: The model.

    Yields:
        Host and port, once it answers.
    """
    from refit_infra.settings import Settings

    programs = Path(sys.executable).parent  # it starts uvicorn by its name
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, "MLFLOW_TRACKING_URI": Settings().mlflow, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(process, port)
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "mlflow models serve has ended"
        assert time.monotonic() < deadline, "mlflow models serve does not answer"
        try:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            asked.request("GET", "/ping")
            if asked.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.5)


if __name__ == "__main__":
    main()
