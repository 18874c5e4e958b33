"""The commands about what a version is made of: `refit reproduce` and `refit card`."""

from __future__ import annotations

from typing import Annotated

import typer

from refit_deployments.cli.options import Debug, Json, ProjectName
from refit_deployments.output import Answer, answering

Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A registered version.")]
AnyVersion = Annotated[
    int | None, typer.Argument(metavar="[VERSION]", min=1, help="A registered version; the champion, if left out.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line.

    Args:
        app: The command line.
    """
    for command in (reproduce, card):
        app.command()(command)


def reproduce(project: ProjectName, version: Version, json: Json = False, debug: Debug = False) -> None:
    """Make a version once more from what is on record, and tell whether it is the same, or what differs."""
    with answering(json, debug, f"reproduce {project} version {version}: starting Prefect") as output:
        output.show(reproduce_here(project, version))


def card(project: ProjectName, version: AnyVersion = None, json: Json = False, debug: Debug = False) -> None:
    """Show the model card of a version: data, scores, slices, verdict, lineage and limits."""
    with answering(json, debug, f"card of {project}: reading the record") as output:
        output.show(card_here(project, version))


def reproduce_here(project: str, version: int) -> Answer:
    """Runs the flow in this process.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        What came of it; a version that differs is an outcome, too.
    """
    from refit_flows.reproduce import reproduce as run
    from refit_tasks.catalog import find_project

    find_project(project)  # a misspelt name should not wait for Prefect's start
    found = run(project, version)
    said = "reproduced" if found.reproduced else "NOT reproduced"
    measured = "nothing to compare" if found.difference is None else f"largest difference {found.difference:.3g}"
    lines = [
        f"{project} version {version}: {said}, with {found.used_code} code; {measured} on {found.rows:,} rows",
        *(f"  {one.what:<8}  recorded {one.recorded}; now {one.now}" for one in found.causes or found.differs),
    ]
    return Answer(found.as_json(), lines)


def card_here(project: str, version: int | None) -> Answer:
    """Writes the card.

    Args:
        project: The project's name.
        version: The version's number; the champion's, if `None`.

    Returns:
        The card as markdown.
    """
    from refit_tasks.catalog import find_project
    from refit_tasks.reporting.model_card import card_of_version

    number, text = card_of_version(find_project(project), version)
    return Answer({"project": project, "version": number, "card": text}, [text])
