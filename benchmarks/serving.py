"""Requests of one row: `refit serve` beside the bare predict call and `mlflow models serve` of the same pipeline.

Both servers run on loopback with one worker, and are asked in turns, so that whatever else the machine does meets both.
`refit serve` gives the class and its probability and logs every row; `mlflow models serve` gives the class.
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

from tests.serving.served_depot import FEATURES, Depot, serving

ROUNDS, REQUESTS, WARM = 6, 300, 50
PATIENCE_SECONDS = 120
LARGE = 100


def main() -> None:
    """Prints requests a second, p50 and p99 of each, and the ratios."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ.update(REFIT_HOME=str(root / "home"), REFIT_PROJECTS=str(root / "projects"), OMP_NUM_THREADS="1")
        from infra.settings import Settings, settle

        settle(Settings())
        depot = Depot(root, "parcels")
        champion = depot.promoted("parcels", 0.0)
        with serving(depot.projects, "parcels") as ours, mlflow_server(champion.model.uri) as theirs:
            _measure(depot, champion, ours.address.removeprefix("http://"), theirs)


def _measure(depot: Depot, champion: Any, ours: str, theirs: str) -> None:  # noqa: ANN401
    from tasks.catalog import find_project
    from tasks.model_store import fetch_model

    model, rows = fetch_model(find_project("parcels"), champion.model), depot.rows[FEATURES]
    for size in (1, LARGE):
        some = rows.head(size)
        mine = {"rows": some.to_dict("records")} if size > 1 else {"row": some.to_dict("records")[0]}
        split = {"dataframe_split": some.to_dict("split", index=False)}
        asks: dict[str, Callable[[], None]] = {
            "bare predict": lambda some=some: model.predict(some),
            "refit serve": asking(ours, "/v1/models/parcels/predict", mine),
            "mlflow models serve": asking(theirs, "/invocations", split),
        }
        _print(size, timed(asks, ROUNDS, REQUESTS if size == 1 else REQUESTS // 3))


def _print(size: int, taken: dict[str, list[float]]) -> None:
    print(f"{size} row{'s' * (size > 1)} a request, one after the other")
    for name, seconds in taken.items():
        p50, p99 = np.percentile(seconds, [50, 99]) * 1_000
        print(f"  {name:20} {1 / np.mean(seconds):6.0f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    medians = {name: np.median(seconds) for name, seconds in taken.items()}
    faster = medians["mlflow models serve"] / medians["refit serve"]
    tail = np.percentile(taken["mlflow models serve"], 99) / np.percentile(taken["refit serve"], 99)
    bare = medians["refit serve"] / medians["bare predict"]
    print(f"  refit serve is {faster:.1f} times as fast as mlflow at the median, {tail:.1f} times at p99,")
    print(f"  and takes {bare:.1f} times the bare predict call")


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
    for _ in range(rounds):
        for name, ask in asks.items():
            for number in range(WARM + requests):
                start = time.perf_counter()
                ask()
                if number >= WARM:
                    taken[name].append(time.perf_counter() - start)
    return taken


def asking(address: str, path: str, body: dict[str, Any]) -> Callable[[], None]:
    """Makes what asks a server once more over one connection.

    Args:
        address: Host and port.
        path: The path.
        body: The JSON body.

    Returns:
        The function; it insists on an answer.
    """
    connection, content = http.client.HTTPConnection(address, timeout=60), json.dumps(body).encode()

    def ask() -> None:
        connection.request("POST", path, content, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said

    return ask


@contextmanager
def mlflow_server(uri: str) -> Iterator[str]:
    """Starts `mlflow models serve` of a model.

    Args:
        uri: The model.

    Yields:
        Host and port, once it answers.
    """
    from infra.settings import Settings

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
