"""Turns the output of `refit backtest --json` into one comment.

Use: `python -m refit_infra.ci.backtest_table A.json B.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARK = "<!-- refit backtest -->"
"""By this the next run finds the comment again, and writes it anew."""
COLUMNS = ("loss", "relative_loss", "regret", "trainings", "promotions")


def comment(answers: Iterable[dict[str, Any]]) -> str:
    """Writes the comment.

    Args:
        answers: One JSON object for each project: what the backtest showed, or its error.

    Returns:
        Markdown, a table for each project.
    """
    parts = [_table(answer) if "policies" in answer else f"**Failed**: {_plain(answer['error'])}" for answer in answers]
    return "\n\n".join([MARK, "### Backtest", *(parts or ["No project file has changed."])])


def _table(answer: dict[str, Any]) -> str:
    policies: dict[str, dict[str, Any]] = answer["policies"]
    lines = [
        f"**{_plain(answer['project'])}**: {answer['metric']}, {answer['rows']:,} rows in {answer['windows']} windows; "
        "lower is better",
        "",
        f"| policy | {' | '.join(column.replace('_', ' ') for column in COLUMNS)} |",
        f"| --- | {' | '.join('---:' for _ in COLUMNS)} |",
    ]
    for name, numbers in policies.items():
        lines.append(f"| {_plain(name)} | {' | '.join(_number(numbers[column]) for column in COLUMNS)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _plain(text: str) -> str:
    """Keeps a name from breaking out of its cell, or into markup."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))


def main() -> None:
    """Reads the files that the arguments name, and writes the comment."""
    answers = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    sys.stdout.write(comment(answers) + "\n")


if __name__ == "__main__":
    main()
