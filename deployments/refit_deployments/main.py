"""The command line: `refit ...`. Only what parses arguments is imported before a command runs."""

from __future__ import annotations

import json
import sys

import typer

from refit_deployments.cli import (
    data_commands,
    look_commands,
    operate_commands,
    run_commands,
    start_commands,
    undo_commands,
)
from refit_deployments.cli.grouped_help import GroupedCommands

app = typer.Typer(
    name="refit",
    cls=GroupedCommands,
    help="Refit keeps models right: it retrains when that pays, and promotes only what passes the gate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SECTIONS = {
    "Start": (start_commands.demo, start_commands.check, start_commands.up),
    "Run": (
        *(run_commands.retrain, run_commands.approve, run_commands.monitor, run_commands.score, run_commands.labels),
        *(data_commands.ingest, run_commands.backtest, run_commands.calibrate),
    ),
    "Look": (
        *(look_commands.status, look_commands.why, look_commands.report, look_commands.champion, look_commands.card),
        *(look_commands.compare, look_commands.quarantine, look_commands.log, look_commands.ledger),
    ),
    "Undo": (undo_commands.rollback, undo_commands.reproduce, undo_commands.forget, undo_commands.restore),
    "Operate": (
        *(operate_commands.deploy, operate_commands.serve, operate_commands.serve_key, operate_commands.metrics),
        *(operate_commands.backup, operate_commands.doctor, operate_commands.prune),
        *(data_commands.schema, data_commands.contract),
    ),
}
"""The commands by their use, in the order of a person's first days."""

for section, commands in SECTIONS.items():
    for command in commands:
        app.command(command.__name__.replace("_", "-"), rich_help_panel=section)(command)
app.add_typer(run_commands.gate, name="gate", rich_help_panel="Run")

WRONG_USAGE = 2
"""The exit code of a command line with wrong usage."""


def main() -> None:
    """The console script.

    Raises:
        SystemExit: Always; wrong usage has code 2, and with `--json` one JSON object on standard output.
    """
    try:
        app()
    except SystemExit as end:
        if end.code == WRONG_USAGE and "--json" in sys.argv[1:]:
            line = " ".join(["refit", *sys.argv[1:]])
            error = f"`{line}` is wrong usage: standard error says what is wrong with it"
            sys.stdout.write(json.dumps({"error": error, "kind": "UsageError"}) + "\n")
        raise
