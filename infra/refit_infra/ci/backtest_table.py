"""A pull-request comment with the results of `refit backtest --json`.

Usage: `python -m refit_infra.ci.backtest_table A.json B.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARK = "<!-- refit backtest -->"
"""Marks the comment, so that the next run finds and replaces it."""
COLUMNS = ("loss", "relative_loss", "regret", "trainings", "promotions")


def write_comment(results: Iterable[dict[str, Any]]) -> str:
    """Writes the comment.

    Args:
        results: One JSON object for each project: the results of its backtest, or its error.

    Returns:
        Markdown with a table for each project.
    """
    parts = [
        _write_table(result) if "policies" in result else f"**Failed**: {_escape(result['error'])}"
        for result in results
    ]
    return "\n\n".join([MARK, "### Backtest", *(parts or ["No project file was changed."])])


def _write_table(result: dict[str, Any]) -> str:
    policies: dict[str, dict[str, Any]] = result["policies"]
    rows, windows = result["rows"], result["windows"]
    lines = [
        f"**{_escape(result['project'])}**: {result['metric']}, {rows:,} rows in {windows} windows; lower is better",
        "",
        f"| policy | {' | '.join(column.replace('_', ' ') for column in COLUMNS)} |",
        f"| --- | {' | '.join('---:' for _ in COLUMNS)} |",
    ]
    for name, numbers in policies.items():
        lines.append(f"| {_escape(name)} | {' | '.join(_format_number(numbers[column]) for column in COLUMNS)} |")
    return "\n".join(lines)


def _format_number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _escape(text: str) -> str:
    """Escapes markdown, so that a name cannot leave its table cell."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))


def main() -> None:
    """Writes the comment for the JSON files named by the arguments to standard output."""
    results = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    sys.stdout.write(write_comment(results) + "\n")


if __name__ == "__main__":
    main()
