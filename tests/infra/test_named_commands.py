"""Every `refit ...` that templates, compose file, chart, image and pages name is there, with the options they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from refit_deployments.main import app
from tests.support.infra_tools import INFRA, ROOT

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
PAGES = [ROOT / "docs/production.md", ROOT / "docs/runbook.md"]
FILES = [file for file in sorted(INFRA.rglob("*")) if file.is_file() and file.suffix not in (".json", ".pyc")]
SPOKEN = re.compile(r"(?:^|[`'(]|infra\.start |\.venv/bin/|\"\$)refit\"? ([a-z][a-z-]*[^`'|;&>\n]*)", re.MULTILINE)
LISTED = re.compile(r"(?:command|args): \[refit, ([^\n]*)\]")
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`]+)`", re.DOTALL)


def named(file: Path) -> Iterator[list[str]]:
    """The words after each `refit` of a file: in code on pages, in commands and comments elsewhere."""
    text = file.read_text()
    if file.suffix == ".md":
        text = "\n".join(fenced or " ".join(inline.split()) for fenced, inline in CODE.findall(text))
    for words in SPOKEN.findall(text):
        yield words.split()
    for words in LISTED.findall(text):
        yield [str(word) for word in yaml.safe_load(f"[{re.sub(r'{{.*?}}', 'x', words)}]")]


ALL = [
    pytest.param(words, id=f"{file.relative_to(ROOT)}: {' '.join(words)}")
    for file in [*PAGES, *FILES]
    for words in named(file)
]


@pytest.mark.parametrize("words", ALL)
def test_a_named_command_exists(words: list[str]) -> None:
    first, *others = words
    command = COMMANDS[first]
    while hasattr(command, "commands"):
        command = command.commands[others.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in others if word.startswith("-")} <= known


def test_they_are_found() -> None:
    assert {words.values[0][0] for words in ALL} >= {"check", "backtest", "deploy", "serve", "serve-key", "metrics"}
