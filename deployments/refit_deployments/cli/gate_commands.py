"""`refit gate selftest`: shows that a project's gate stops what it should, and lets pass what it may."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refit_deployments.cli.options import AsOf, Debug, Json, ProjectName
from refit_deployments.output import Result, command_output

if TYPE_CHECKING:
    from refit_tasks.simulation.gate_selftest import SelfTestResult

TOLERATED = 0.05
"""The share of honest challengers that may be rejected: what the gate's error budget allows by default."""


gate = typer.Typer(help="The gate: what stops a challenger.", no_args_is_help=True)


@gate.callback()  # so that a single command keeps its name
def _gate() -> None:
    """The gate: what stops a challenger."""


@gate.command("selftest")
def selftest(
    project: ProjectName,
    rounds: Annotated[
        int, typer.Option(min=1, max=1_000, help="How many honest challengers, each at another moment.")
    ] = 20,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Put bad challengers and honest ones before the project's gate, and tell who passed. Nothing is recorded."""
    with command_output(json, debug, f"gate selftest {project}: reading the rows") as output:
        output.show(run_selftest(project, as_of, rounds))


def run_selftest(project: str, as_of: datetime | None, rounds: int) -> Result:
    """Runs the self-test.

    Args:
        project: The project's name.
        as_of: Later rows are left out; now, if `None`.
        rounds: How many honest challengers.

    Returns:
        Every challenger and what the gate said; exit code 1 where a bad one passed, or too many honest ones did not.
    """
    from refit_tasks.catalog import find_project
    from refit_tasks.simulation.gate_selftest import selftest as run

    tried = list(run(find_project(project), as_of or datetime.now(UTC), rounds))
    bad = [one for one in tried if not one.good]
    rejected = sum(not one.right for one in tried if one.good)
    passed = all(one.right for one in bad) and rejected <= TOLERATED * rounds
    facts = {
        "project": project,
        "passed": passed,
        "bad": {one.name: _facts(one) for one in bad},
        "good": {one.name: _facts(one) for one in tried if one.good},
        "accepted": rounds - rejected,
    }
    lines = [_line(one) for one in bad]
    lines += [_line(one) for one in tried if one.good and not one.right]
    stopped = sum(one.right for one in bad if one.verdict)
    planted = sum(one.verdict is not None for one in bad)
    summary = f"{project}: {stopped} of {planted} bad challengers stopped, {rounds - rejected} of {rounds} honest ones"
    return Result(facts, [f"{summary} accepted", *lines], exit_code=0 if passed else 1)


def _facts(one: SelfTestResult) -> dict[str, Any]:
    reasons = one.verdict.reasons if one.verdict else ()
    return {
        "promoted": one.verdict.promote if one.verdict else None,
        "right": one.right,
        "expected": list(one.expected),
        "failed": [asdict(reason) for reason in reasons if not reason.passed],
    }


def _line(one: SelfTestResult) -> str:
    if one.verdict is None:
        return f"  left out  {one.name}: this project leaves no way to make it"
    failed = [reason for reason in one.verdict.reasons if not reason.passed]
    if one.good:
        return f"  REJECTED  {one.name}: {'; '.join(reason.sentence for reason in failed)}"
    if not failed:
        return f"  PASSED    {one.name}: no rule stopped it, {' or '.join(one.expected)} should have"
    because = [reason for reason in failed if reason.check in one.expected] or failed
    state = "stopped " if one.right else "MISSED  "
    return f"  {state}  {one.name}: {because[0].check}: {because[0].sentence}"
