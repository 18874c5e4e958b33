"""`refit metrics`: what Prometheus asks about flows, read from the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json
from refit_deployments.output import Answer, answering

PORT = 9108


def add_to(app: typer.Typer) -> None:
    """Adds the command to the command line.

    Args:
        app: The command line.
    """
    app.command()(metrics)


def metrics(
    host: Annotated[str, typer.Option(help="The address to listen at; nobody is asked for a password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = PORT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Give Prometheus the numbers of the flows: decisions, promotions, drift, model age, labels, budget.

    They are read from the ledger alone, each entry once, and nothing is ever written. Ctrl-C stops it.
    """
    with answering(json, debug, "metrics: adding up the ledger") as output:
        from refit_serving.metrics.ledger_server import serve_metrics

        def ready(address: str) -> None:
            output.show(Answer({"address": address}, [f"Prometheus is answered at {address}. Ctrl-C stops it."]))

        serve_metrics(host, port, ready)
