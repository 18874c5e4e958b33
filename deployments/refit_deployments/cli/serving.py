"""`refit serve`: the champions of some projects over HTTP; `refit serve-key`: who may ask them."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.output import Answer, answering

if TYPE_CHECKING:
    from refit_serving.traffic.service import Service

PORT = 8000
MEGABYTE = 1 << 20
KEYS = "REFIT_SERVE_KEYS_FILE"


class Right(StrEnum):
    """What a key may be for; `refit_serving.http.api_keys` knows them by the same words."""

    look = "look"
    predict = "predict"
    label = "label"


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    app.command()(serve)
    app.command("serve-key")(serve_key)


def serve(
    projects: Annotated[list[str], typer.Argument(metavar="PROJECT...", help="The projects to answer for.")],
    host: Annotated[
        str, typer.Option(help="The address to listen at; one that others can reach needs --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = PORT,
    max_body: Annotated[float, typer.Option(min=0.001, max=1024, metavar="MB", help="The largest body.")] = 8,
    max_rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most rows of a request.")] = 10_000,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar=KEYS, help="The keys that open the door, from `serve-key`.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, metavar="N", help="The most requests a second of a key.")] = 1_000,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer with the champions over HTTP, and log what they say; Ctrl-C stops it when all is logged.

    A promotion or a rollback is followed within seconds.
    """
    # Before numpy and scikit-learn are imported: a model that starts threads for one row only waits for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with answering(json, debug, f"serve {', '.join(projects)}: loading") as output:
        from refit_serving.http.server import serve as run
        from refit_serving.rows.limits import Limits

        def ready(service: Service, address: str) -> None:
            output.show(_started(service, address))
            output.go_on("serving")

        limits = Limits(body_bytes=int(max_body * MEGABYTE), rows=max_rows, requests_per_second=rate)
        lost = run(list(dict.fromkeys(projects)), host, port, limits, keys, ready)
        output.say(f"{lost:,} predictions could not be stored and are lost" if lost else "All predictions are stored.")
        if lost:
            raise SystemExit(1)


def serve_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold the key.")],
    keys: Annotated[Path, typer.Option(metavar="FILE", envvar=KEYS, help="The file that its hash is written to.")],
    may: Annotated[
        list[Right] | None, typer.Option(help="What it is for: look (at pages and metrics), predict, label; else all.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key for `refit serve --keys FILE`, and show it once: the file keeps its hash.

    A server that runs reads the file again within seconds. To revoke a key, delete its line.
    """
    with answering(json, debug) as output:
        from refit_serving.http.api_keys import add_key
        from refit_tasks.runs.audit_log import noted

        with noted("serve-key", None):
            key = add_key(keys, name, may or Right)
        lines = [key, f"It is shown this once: send it as the header `Authorization: Bearer {key}`."]
        output.show(Answer({"name": name, "key": key, "file": str(keys)}, lines))


def _started(service: Service, address: str) -> Answer:
    facts, lines = {}, [f"Refit answers at {address}. Ctrl-C stops it."]
    for name, seat in service.follower.seats.items():
        served = seat.served
        facts[name] = {"version": served.version, "generation": served.generation} if served else None
        lines.append(f"  {name}  " + (f"version {served.version}" if served else seat.trouble))
    return Answer({"address": address, "projects": facts}, [*lines, f"  {address}/docs describes the addresses"])
