"""`refit serve`: the champions of some projects over HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.options import Debug, Json
from deployments.output import Answer, answering

if TYPE_CHECKING:
    from serving.service import Service

PORT = 8000
MEGABYTE = 1 << 20


def add_to(app: typer.Typer) -> None:
    """Adds the command to the command line.

    Args:
        app: The command line.
    """
    app.command()(serve)


def serve(
    projects: Annotated[list[str], typer.Argument(metavar="PROJECT...", help="The projects to answer for.")],
    host: Annotated[str, typer.Option(help="The address to listen at; nobody is asked for a password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = PORT,
    max_body: Annotated[float, typer.Option(min=0.001, max=1024, metavar="MB", help="The largest body.")] = 8,
    max_rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most rows of a request.")] = 10_000,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer with the champions over HTTP, and log what they say; Ctrl-C stops it when all is logged.

    A promotion or a rollback is followed within seconds.
    """
    # Before numpy and scikit-learn are imported: a model that starts threads for one row only waits for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with answering(json, debug, f"serve {', '.join(projects)}: loading") as output:
        from serving.limits import Limits
        from serving.server import serve as run

        def ready(service: Service, address: str) -> None:
            output.show(_started(service, address))
            output.go_on("serving")

        limits = Limits(body_bytes=int(max_body * MEGABYTE), rows=max_rows)
        lost = run(list(dict.fromkeys(projects)), host, port, limits, ready)
        output.say(f"{lost:,} predictions could not be stored and are lost" if lost else "All predictions are stored.")
        if lost:
            raise SystemExit(1)


def _started(service: Service, address: str) -> Answer:
    facts, lines = {}, [f"Refit answers at {address}. Ctrl-C stops it."]
    for name, seat in service.follower.seats.items():
        served = seat.served
        facts[name] = {"version": served.version, "generation": served.generation} if served else None
        lines.append(f"  {name}  " + (f"version {served.version}" if served else seat.trouble))
    return Answer({"address": address, "projects": facts}, [*lines, f"  {address}/docs describes the addresses"])
