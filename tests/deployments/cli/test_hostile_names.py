"""Names that are no names: every command refuses them in one sentence, and nothing is written anywhere but at home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import forked_commands as commands

HOSTILE = {
    "a path": "../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a hidden end": "hours\x00.py",
    "another line": "hours\nhours",
    "a space behind": "hours ",
    "letters that look alike": "h\u043eurs",
    "letters that mean the same": "\uff48ours",
    "upper case": "HOURS",
    "SQL": "hours' OR '1'='1",
    "markup": "<img src=x onerror=alert(1)>",
    "a variable": "$HOME{{ x }}%(x)s{0}",
    "very long": "h" * 100_000,
    "nothing": "",
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "retrain": ("retrain", "NAME"),
    "monitor": ("monitor", "NAME"),
    "score": ("score", "NAME"),
    "serve": ("serve", "NAME", "--port", "0"),
    "labels": ("labels", "NAME", "labels.csv"),
    "champion": ("champion", "NAME"),
    "card": ("card", "NAME"),
    "report": ("report", "NAME"),
    "rollback": ("rollback", "NAME"),
    "approve": ("approve", "NAME", "1"),
    "reproduce": ("reproduce", "NAME", "1"),
    "quarantine": ("quarantine", "NAME", "list"),
    "doctor": ("doctor", "NAME"),
    "prune": ("prune", "NAME"),
}


def refused(arguments: tuple[str, ...], name: str, hours: Path) -> str:
    """Runs a command in a directory of its own; gives the sentence that it refuses with."""
    before = files(hours.parent)
    run = commands.refit(*(name if word == "NAME" else word for word in arguments), "--json", cwd=hours.parent)
    assert run.returncode in (1, 2), run.stdout
    assert "Traceback" not in run.stderr
    assert files(hours.parent) == before
    sentence = json.loads(run.stdout)["error"]
    assert len(sentence) < 2_000
    return sentence


def files(directory: Path) -> set[Path]:
    return {file for file in directory.rglob("*") if file.is_file() and "home" not in file.parts}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_name_names_no_project(hours: Path, name: str) -> None:
    assert "defines a project" in refused(COMMANDS["card"], name, hours)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_makes_a_path_of_a_name(hours: Path, command: tuple[str, ...]) -> None:
    (hours.parent / "labels.csv").write_text("id,y\n1,2\n")
    refused(command, "../projects/hours", hours)
