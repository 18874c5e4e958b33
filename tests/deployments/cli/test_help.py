"""`refit --help` as a person reads it, and completion as bash asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refit_deployments.main import app
from tests.support.command_imports import COMMAND, ENGINES
from tests.support.forked_commands import refit

BIN = str(Path(sys.executable).parent)
SECTIONS = ["Start:", "Run:", "Look:", "Undo:", "Operate:"]
EXECUTED = 'raise SystemExit("the project file was run")\n'


def test_the_help_lists_every_command_once_by_its_use() -> None:
    lines = refit("--help", COLUMNS="80").stdout.splitlines()
    assert [line for line in lines if line in SECTIONS] == SECTIONS
    first = lines.index(SECTIONS[0])
    shown = [line.split()[0] for line in lines[first:] if line.startswith("  ")]
    registered = [one.name for one in app.registered_commands] + [one.name for one in app.registered_groups]
    assert sorted(shown) == sorted(str(name) for name in registered)


def test_no_phrase_is_cut_or_wrapped_at_80_columns() -> None:
    lines = refit("--help", COLUMNS="80").stdout.splitlines()
    rows = lines[lines.index(SECTIONS[0]) :]
    assert all(len(line) <= 80 and "..." not in line for line in rows)
    assert all(not line.startswith("     ") for line in rows), "a phrase goes on in a second line"


def completed(words: str, projects: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Asks as the script of bash does: for the last of these words, in the completion's environment variables."""
    asked = {"_REFIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    environment = {**os.environ, "REFIT_PROJECTS": str(projects), **asked, **more}
    command = [sys.executable, "-c", COMMAND]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)


@pytest.fixture
def projects(hours: Path) -> Path:
    text = (hours / "hours.py").read_text()
    (hours / "hours.py").write_text(EXECUTED + text)
    (hours / "second.py").write_text(EXECUTED + text.replace('"hours"', '"harbour_traffic"'))
    (hours / "computed.py").write_text(EXECUTED + text.replace('"hours"', '"".join("hut")'))
    (hours / "_shared.py").write_text(EXECUTED)
    return hours


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("refit rep", ["report", "reproduce"]),
        ("refit status h", ["harbour_traffic", "hours"]),
        ("refit serve hours c", ["computed"]),
        ("refit retrain --fo", ["--force"]),
        ("refit quarantine hours re", ["replay"]),
        ("refit gate s", ["selftest"]),
        ("refit monitor nothing_such", []),
    ],
)
def test_bash_completes_without_running_a_project_file_or_importing_an_engine(
    words: str, found: list[str], projects: Path
) -> None:
    done = completed(words, projects)
    assert sorted(done.stdout.split()) == found
    imported = {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}
    assert imported & (ENGINES | {"sqlalchemy", "numpy", "pyarrow"}) == set()


def test_no_projects_directory_completes_nothing(tmp_path: Path) -> None:
    assert completed("refit status h", tmp_path / "away").stdout.strip() == ""


SHELL = """
set -eu
export PATH={bin}:$PATH
refit --install-completion bash > installed
source $HOME/.bashrc
COMP_WORDS=(refit status ho); COMP_CWORD=2
"$(complete -p refit | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" refit
echo "${{COMPREPLY[*]}}"
"""


def test_an_installed_completion_works_in_bash(projects: Path, tmp_path: Path) -> None:
    home = tmp_path / "person"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "REFIT_PROJECTS": str(projects)}
    script = SHELL.format(bin=BIN).replace(" --install-completion bash", " --install-completion")
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["hours"]
    assert "completion installed" in (tmp_path / "installed").read_text()


def test_the_completion_script_is_shown(tmp_path: Path) -> None:
    script = f"export PATH={BIN}:$PATH; refit --show-completion"
    shown = subprocess.run(["bash", "-c", f"{script}; true"], capture_output=True, text=True, check=True, timeout=60)
    assert "_REFIT_COMPLETE=complete_bash" in shown.stdout
