"""The command line: `refit ...`. Only what parses arguments is imported before a command runs."""

from __future__ import annotations

import json as jsonlib
import sys
from enum import StrEnum
from typing import Annotated

import typer

from refit_deployments.cli import (
    champion_commands,
    gate_commands,
    monitor_commands,
    server_commands,
    state_commands,
)
from refit_deployments.cli.options import AsOf, Debug, Json, ProjectName
from refit_deployments.output import command_output

app = typer.Typer(
    name="refit",
    help="Refit keeps models right: it refits a model when that pays, and promotes it only when it is proven fit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS = (
    *(monitor_commands.monitor, monitor_commands.score, monitor_commands.compare, monitor_commands.labels),
    *(monitor_commands.report, monitor_commands.backtest, monitor_commands.calibrate),
    *(champion_commands.champion, champion_commands.rollback, champion_commands.approve, champion_commands.ledger),
    *(champion_commands.reproduce, champion_commands.card),
    *(state_commands.doctor, state_commands.prune, state_commands.backup, state_commands.restore),
    *(state_commands.forget, state_commands.log),
    *(server_commands.up, server_commands.deploy, server_commands.serve, server_commands.metrics),
)
"""The commands that other files define."""

for command in COMMANDS:
    app.command()(command)
app.command("serve-key")(server_commands.serve_key)
app.add_typer(gate_commands.gate, name="gate")

WRONG_USAGE = 2
"""The exit code of a command line that cannot be understood."""


class QuarantineAction(StrEnum):
    """What to do with quarantined rows."""

    list = "list"
    replay = "replay"


@app.command()
def demo(json: Json = False, debug: Debug = False) -> None:
    """Show the whole loop on generated data: first champion, quiet weeks, drift, decision, retrain, promotion."""
    with command_output(json, debug, "demo: starting Prefect") as output:
        from refit_deployments.actions.demo import demo as run

        output.show(run())


@app.command()
def check(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="One project; all, if left out.")] = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load, build, fit on a sample and round-trip every project: find errors before 3 a.m. does."""
    with command_output(json, debug, "check: importing the project files") as output:
        from refit_deployments.actions.check import check_projects

        output.show(check_projects(project, as_of))


@app.command()
def retrain(
    project: ProjectName,
    as_of: AsOf = None,
    reason: Annotated[str, typer.Option(help="Why, for the people who read the record.")] = "manual",
    force: Annotated[bool, typer.Option("--force", help="Train again even if nothing changed.")] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Start the deployment on the Prefect server instead.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a challenger here, judge it, and promote it if it is fit to serve."""
    with command_output(json, debug, f"retrain {project}: starting Prefect") as output:
        from refit_deployments.actions.retrain import retrain_here, retrain_remotely
        from refit_tasks.runs.audit_log import audited

        with audited("retrain", project, recorded=True):
            answer = (retrain_remotely if remote else retrain_here)(project, as_of, reason, force)
        output.show(answer)


@app.command()
def status(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="One project; all, if left out.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show who serves, since when, trained on what, and how many rows wait in quarantine."""
    with command_output(json, debug, "status: reading the record") as output:
        from refit_deployments.actions.status import status as read

        output.show(read(project))


@app.command()
def why(
    identifier: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="A ledger entry, as `refit status` names it.")
    ],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell the story of one ledger entry in sentences."""
    with command_output(json, debug, f"why {identifier}: reading the record") as output:
        from refit_deployments.actions.status import why as read

        output.show(read(identifier))


@app.command()
def quarantine(
    project: ProjectName,
    action: Annotated[QuarantineAction, typer.Argument(help="List the rows, or admit those that pass by now.")],
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The most rows to list.")] = 20,
    show_pii: Annotated[
        bool, typer.Option("--show-pii", help="Show values of the columns that the project calls `pii`, too.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the rows that broke the data contract, or replay them against today's contract."""
    with command_output(json, debug, f"{action.value} the quarantine of {project}") as output:
        from refit_deployments.actions.check import list_quarantine, replay_quarantine
        from refit_tasks.runs.audit_log import audited

        replaying = action is QuarantineAction.replay
        if not replaying and not show_pii:
            output.show(list_quarantine(project, limit))
            return
        with audited("quarantine replay" if replaying else "quarantine list --show-pii", project):
            answer = replay_quarantine(project) if replaying else list_quarantine(project, limit, show_pii=show_pii)
        output.show(answer)


def main() -> None:
    """The console script.

    Raises:
        SystemExit: Always; with code 2 after wrong usage, which is one JSON object, too, where one was asked for.
    """
    try:
        app()
    except SystemExit as end:
        if end.code == WRONG_USAGE and "--json" in sys.argv[1:]:
            wrong = f"`{' '.join(['refit', *sys.argv[1:]])}` is wrong usage: standard error says what is wrong with it"
            sys.stdout.write(jsonlib.dumps({"error": wrong, "kind": "UsageError"}) + "\n")
        raise
