"""Markdown for Prefect's artifacts. Text from data or project files is escaped, so that it never acts as markup."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from math import isfinite

_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|~#"} | {"\n": " ", "\r": " "})
"""Characters with a meaning in a markdown table, besides HTML."""


def artifact_key(project: str, what: str) -> str:
    """Builds an artifact key, which in Prefect has no underscores.

    Args:
        project: The project's name.
        what: The kind of artifact, such as `verdict`.

    Returns:
        The key, the same for all runs of the project.
    """
    return f"{project.replace('_', '-')}-{what}"


def plain(text: str, longest: int = 300) -> str:
    """Escapes text for markdown.

    Args:
        text: Any text.
        longest: The most characters of the text that are kept.

    Returns:
        Markdown on one line that shows the text.

    Example:
        >>> plain("a <i>")
        'a &lt;i&gt;'
    """
    return html.escape(shorten(text, longest), quote=False).translate(_MARKUP)


def shorten(text: str, longest: int) -> str:
    """Truncates text that is too long.

    Args:
        text: Any text.
        longest: The most characters, including an ellipsis.

    Returns:
        The text on one line, without unprintable characters.

    Example:
        >>> shortened("a long name", 8)
        'a long …'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "\u2026"


def number(value: float | None, digits: int = 4) -> str:
    """Formats a number for people.

    Args:
        value: The number, or `None`.
        digits: The significant digits of a number below 1,000 that is not an integer.

    Returns:
        The number, with thousands separators from 1,000; an empty string for `None` and NaN.

    Example:
        >>> number(0.827695), number(12_345.0), number(1234.56)
        ('0.8277', '12,345', '1,234.6')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if abs(value) >= 1_000 and isfinite(value):  # noqa: PLR2004 - the first number with a thousands separator
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{value:.{digits}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> list[str]:
    """Formats a table.

    Args:
        head: The column names, as markdown.
        rows: The cells, as markdown.
        numeric: The positions of right-aligned columns.

    Returns:
        Lines.
    """
    rule = ["---:" if position in numeric else "---" for position in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def format_list(items: Iterable[tuple[str, str]]) -> list[str]:
    """Formats a list of sentences, for text that is too long for a table cell, which Prefect does not wrap.

    Args:
        items: Subjects and sentences, as markdown.

    Returns:
        Lines.
    """
    return [f"- **{about}**: {sentence}" for about, sentence in items]


def image(caption: str, png: bytes) -> str:
    """Embeds an image.

    Args:
        caption: The alternative text.
        png: The image as PNG.

    Returns:
        Markdown of an image with a data URI.
    """
    return f"![{plain(caption, 80)}]({data_uri(png)})"


def data_uri(png: bytes) -> str:
    """Encodes an image as a data URI.

    Args:
        png: The image as PNG.

    Returns:
        A `data:` URI.
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
