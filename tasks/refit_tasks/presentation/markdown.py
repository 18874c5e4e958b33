"""Markdown for Prefect's artifacts: what comes from data or project files is shown as it is, never as markup."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from math import isfinite

_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|~#"} | {"\n": " ", "\r": " "})
"""What is markup in a markdown table, beside HTML."""


def artifact_key(project: str, what: str) -> str:
    """Names an artifact the way Prefect wants it: without low lines.

    Args:
        project: The project's name.
        what: What it shows, such as `verdict`.

    Returns:
        The key, the same for all runs of the project.
    """
    return f"{project.replace('_', '-')}-{what}"


def plain(text: str, longest: int = 300) -> str:
    """Escapes what would be markup.

    Args:
        text: Any text.
        longest: The most characters of it that are kept.

    Returns:
        Markdown on one line that shows the text.

    Example:
        >>> plain("a <i>")
        'a &lt;i&gt;'
    """
    return html.escape(shorten(text, longest), quote=False).translate(_MARKUP)


def shorten(text: str, longest: int) -> str:
    """Cuts a text that is too long to be shown.

    Args:
        text: Any text.
        longest: The most characters, an ellipsis included.

    Returns:
        The text, on one line and without characters that cannot be printed.

    Example:
        >>> shortened("a long name", 8)
        'a long …'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "\u2026"


def number(value: float | None, digits: int = 4) -> str:
    """Writes a number for people.

    Args:
        value: The number, or `None`.
        digits: How many significant ones are shown of a number below 1,000 that is not whole.

    Returns:
        Whole numbers and large ones in full; nothing for `None` and what is no number.

    Example:
        >>> number(0.827695), number(12_345.0), number(1234.56)
        ('0.8277', '12,345', '1,234.6')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if abs(value) >= 1_000 and isfinite(value):  # noqa: PLR2004 - where a comma begins to help
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{value:.{digits}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> list[str]:
    """Draws a table.

    Args:
        head: The columns' names, as markdown.
        rows: The cells, as markdown.
        numeric: The positions of columns that are aligned to the right.

    Returns:
        Lines.
    """
    rule = ["---:" if position in numeric else "---" for position in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def format_list(said: Iterable[tuple[str, str]]) -> list[str]:
    """Lists a sentence about each of some things; not as a column of their table, whose cells Prefect never wraps.

    Args:
        said: What it is about, and the sentence, as markdown.

    Returns:
        Lines.
    """
    return [f"- **{about}**: {sentence}" for about, sentence in said]


def image(caption: str, png: bytes) -> str:
    """Puts a picture into the text itself.

    Args:
        caption: What is read where the picture cannot be seen.
        png: The picture.

    Returns:
        Markdown of an image with a data URI.
    """
    return f"![{plain(caption, 80)}]({data_uri(png)})"


def data_uri(png: bytes) -> str:
    """Writes a picture as an address that holds it.

    Args:
        png: The picture.

    Returns:
        A `data:` URI.
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
