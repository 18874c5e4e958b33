"""The arguments and options that commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, and nothing else there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _moment(text: str) -> datetime:
    from refit.windows import require_past

    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-04-01 or 2026-04-01T03:00+02:00") from None
    try:
        return require_past(given if given.tzinfo else given.replace(tzinfo=UTC), datetime.now(UTC))
    except (ValueError, OverflowError) as refused:
        raise typer.BadParameter(str(refused)) from None


Moment = Annotated[
    datetime | None,
    typer.Option("--at", metavar="TIME", parser=_moment, help="A moment in the past (ISO 8601, UTC by default)."),
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", metavar="TIME", parser=_moment, help="From then on (ISO 8601, UTC by default)."),
]
From = Annotated[
    datetime | None,
    typer.Option("--from", metavar="TIME", parser=_moment, help="The first event time (ISO 8601, UTC by default)."),
]
To = Annotated[
    datetime | None,
    typer.Option("--to", metavar="TIME", parser=_moment, help="Just after the last event time; now, by default."),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        parser=_moment,
        help="Look from this instant (ISO 8601, UTC unless it has an offset) instead of now.",
    ),
]
