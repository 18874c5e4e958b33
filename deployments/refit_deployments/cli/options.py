"""The arguments and options that several commands share."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from typing import Annotated

import typer

from refit_deployments.cli.completion import complete_project

ProjectName = Annotated[
    str, typer.Argument(metavar="PROJECT", help="The project's name.", autocompletion=complete_project)
]
ProjectNames = Annotated[
    list[str],
    typer.Argument(metavar="PROJECT...", help="The names of the projects.", autocompletion=complete_project),
]
AnyProject = Annotated[
    str | None,
    typer.Argument(metavar="[PROJECT]", help="One project; by default all projects.", autocompletion=complete_project),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output; logs go to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Reason = Annotated[str, typer.Option(help="The reason, as recorded in the ledger.")]


def parse_time(text: str) -> datetime:
    """Reads a time of the command line.

    Args:
        text: A date or time in ISO 8601; UTC unless it has an offset.

    Returns:
        The time, in UTC.

    Raises:
        typer.BadParameter: If the text is not a time, or the time is in the future.
    """
    from refit.windows import require_past

    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time: write it as 2026-04-01 or 2026-04-01T03:00+02:00") from None
    try:
        return require_past(given if given.tzinfo else given.replace(tzinfo=UTC), datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error)) from None


At = Annotated[
    datetime | None,
    typer.Option("--at", metavar="TIME", parser=parse_time, help="A time in the past (ISO 8601, UTC by default)."),
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", metavar="TIME", parser=parse_time, help="The earliest time (ISO 8601, UTC by default)."),
]
From = Annotated[
    datetime | None,
    typer.Option("--from", metavar="TIME", parser=parse_time, help="The first event time (ISO 8601, UTC by default)."),
]
To = Annotated[
    datetime | None,
    typer.Option("--to", metavar="TIME", parser=parse_time, help="The end of the event times, exclusive; default now."),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        parser=parse_time,
        help="Use only what was known at this time (ISO 8601, UTC by default); default now.",
    ),
]


def _parse_encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise typer.BadParameter(f"{text!r} is no encoding: name one as Python does, such as cp1252") from None


def _parse_mark(text: str) -> str:
    mark = {"TAB": "\t", "\\t": "\t"}.get(text, text)
    if len(mark) != 1:
        raise typer.BadParameter(f"{text!r} is no single character: give one, or TAB")
    return mark


Separator = Annotated[
    str, typer.Option("--sep", metavar="MARK", parser=_parse_mark, help="The separator of a CSV file; TAB for a tab.")
]
Decimal = Annotated[
    str, typer.Option("--decimal", metavar="MARK", parser=_parse_mark, help="The decimal mark of a CSV file.")
]
Encoding = Annotated[
    str, typer.Option("--encoding", metavar="NAME", parser=_parse_encoding, help="The encoding of a CSV file.")
]
Missing = Annotated[
    list[str] | None,
    typer.Option("--missing", metavar="WORD", help="A word for missing cells of a CSV file; may be repeated."),
]
